-- SPDX-License-Identifier: Apache-2.0
-- The peer of this request: the address that the route named.
local balancer = require("ngx.balancer")
local log = require("log")

local _M = {}

function _M.choose()
    local ok, err = balancer.set_current_peer(ngx.var.mt5_address)
    if not ok then
        log.error("peer-refused", { address = ngx.var.mt5_address, message = err })
        return ngx.exit(500)
    end
end

return _M
