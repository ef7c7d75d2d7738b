-- SPDX-License-Identifier: Apache-2.0
-- 421 from a sidecar: the address belongs to another account by now. The client is told to try
-- again; the route is about to change. Not error_page: that would take the sidecar's own problem
-- documents with it.
local problem = require("problem")

local _M = {}

function _M.header()
    if ngx.status ~= 421 then return end
    local text = problem.begin(503, "account-moving", "Account is moving",
        "The account's address has just changed.", { account_id = ngx.var.mt5_account_id })
    ngx.header["Content-Length"] = #text
    ngx.header["Content-Encoding"] = nil
    ngx.header["ETag"] = nil
    ngx.ctx.mt5_replacement = text
end

function _M.body()
    if ngx.status ~= 503 then return end -- ngx.ctx would make a table for each request
    local text = ngx.ctx.mt5_replacement
    if not text then return end
    -- Whatever the sidecar wrote goes; ours is written with the last piece.
    ngx.arg[1] = ngx.arg[2] and text or nil
end

return _M
