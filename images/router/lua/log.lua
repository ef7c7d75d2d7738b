-- SPDX-License-Identifier: Apache-2.0
-- One JSON object a line on stderr. Not ngx.log: that adds the request line, and with it a query
-- that may hold a key.
local cjson = require("cjson.safe")

local _M = {}

local function write(level, event, fields)
    local line = { log = "router", time = ngx.utctime(), level = level, event = event }
    for name, value in pairs(fields or {}) do line[name] = value end
    io.stderr:write((cjson.encode(line) or '{"log":"router","event":"unprintable"}') .. "\n")
end

function _M.info(event, fields) write("info", event, fields) end
function _M.warn(event, fields) write("warning", event, fields) end
function _M.error(event, fields) write("error", event, fields) end

return _M
