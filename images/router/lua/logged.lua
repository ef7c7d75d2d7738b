-- SPDX-License-Identifier: Apache-2.0
-- What the access log holds of a request that did not go well: a path that harms no line, and of
-- what the router refuses by itself only so many lines of one address.
local settings = require("settings")

local refused = ngx.shared.mt5_refused

local LONGEST_PATH = 1024
local WINDOW_S = 60

local _M = {}

-- ASCII only, and no more than a pipe takes in one piece. No other request's path is long or has
-- such bytes, since sidecars know none, and to look at each costs a tenth of a read.
function _M.make_path_loggable()
    local path = ngx.var.mt5_path or ""
    if #path <= LONGEST_PATH and not path:find("[^ -~]") then return end
    ngx.var.mt5_path = path:sub(1, LONGEST_PATH):gsub("[^ -~]", function(byte)
        return ("%%%02X"):format(byte:byte())
    end)
end

-- Say whether one more refusal of this address gets a line; one that does not is only counted.
-- Who fills a disk needs no key and no account, so no limit by account helps.
function _M.has_line()
    local client = ngx.var.mt5_client
    local lines = refused:incr(client, 1, 0, WINDOW_S)
    local logged = not lines or lines <= settings.client_refusals_logged_per_min
    ngx.var.mt5_logged = logged and "1" or "0"
    return logged
end

return _M
