-- SPDX-License-Identifier: Apache-2.0
-- Keeps the table fed: one worker, one loop. Each cycle is a timer of its own, so that nothing it
-- allocates lives longer than a cycle.
local configmap = require("configmap")
local log = require("log")
local redis_feed = require("redis_feed")
local settings = require("settings")

local state = ngx.shared.mt5_state

local FIRST_WAIT_S, LONGEST_WAIT_S = 0.1, 2

local _M = {}

local wait_s = FIRST_WAIT_S
local looked_at = -math.huge

-- Say that the loop lives. While Redis is away or incomplete, the files are applied; otherwise
-- they are only noted, so that a later change in them is seen as one.
local function beat(complete)
    ngx.update_time()
    local now = ngx.now()
    state:set("beat_at", now)
    if complete then wait_s = FIRST_WAIT_S end
    if now - looked_at >= settings.configmap_interval_s then
        looked_at = now
        state:incr("file_looks", 1, 0)
        configmap.look(not complete)
    end
end

local function disconnected(err)
    if state:get("redis_connected") ~= 0 then
        log.warn("redis-away", { message = tostring(err) })
    end
    state:set("redis_connected", 0)
end

-- Seconds until the next cycle: at once after a good one, longer after each that failed.
local function pause(good)
    if good then return 0 end
    local now_s = wait_s * (0.5 + math.random() / 2)
    wait_s = math.min(wait_s * 2, LONGEST_WAIT_S)
    return now_s
end

-- One cycle; true when the next may follow at once.
local function feed()
    state:incr("cycles", 1, 0)
    beat(false)
    if not settings.redis then return false end
    local good, result = pcall(redis_feed.cycle, beat)
    if not good then disconnected(result) end
    return good and result ~= "foreign"
end

local function cycle(premature)
    if premature or ngx.worker.exiting() then return end
    local alive, good = pcall(feed)
    if not alive then log.error("feed-fault", { message = tostring(good) }) end
    local ok, err = ngx.timer.at(pause(alive and good), cycle)
    if not ok and err ~= "process exiting" then log.error("feed-stopped", { message = err }) end
end

-- Called in every worker; the first one feeds. A crashed worker's successor has its number.
function _M.start()
    if ngx.worker.id() ~= 0 then return end
    math.randomseed(ngx.worker.pid())
    looked_at = -math.huge
    ngx.timer.at(0, cycle)
end

return _M
