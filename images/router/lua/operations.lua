-- SPDX-License-Identifier: Apache-2.0
-- For the kubelet. Alive: the feeding loop turns. Ready: the table is loaded. Redis is asked for
-- by neither: known routes work without it.
local routes = require("routes")

local state = ngx.shared.mt5_state

local STUCK_S = 120 -- the loop turns every second or so, and a full look takes far less

local _M = {}

local function answer(good, text)
    ngx.status = good and 200 or 503
    ngx.header["Content-Type"] = "text/plain"
    ngx.say(text)
end

function _M.healthz()
    local beat_at = state:get("beat_at") or ngx.now()
    local good = ngx.now() - beat_at < STUCK_S
    answer(good, good and "ok" or "the loop that feeds the route table is stuck")
end

function _M.readyz()
    local good = routes.loaded()
    answer(good, good and "ok" or "routes are loading")
end

return _M
