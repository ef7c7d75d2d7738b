-- SPDX-License-Identifier: Apache-2.0
-- Routes from Redis: a full look at the hash, then the stream of changes until the next full look.
--
-- The order matters. The stream's newest id is read before the hash, so a change made while the
-- hash is read is applied after it and nothing falls between.
local cjson = require("cjson.safe")
local installation = require("installation")
local log = require("log")
local redis = require("nginx.redis") -- Debian's lua-nginx-redis, the field's lua-resty-redis
local routes = require("routes")
local settings = require("settings")

local state = ngx.shared.mt5_state

local HASH, STREAM, MARKER = "mt5:routes", "mt5:routes:changes", "mt5:routes:complete"
local SCAN_COUNT = 500    -- entries per step: the worker also serves requests
local READ_COUNT = 1000   -- changes per read
local BLOCK_MS = 1000     -- how long Redis may keep us waiting for a change
local LOADING_BLOCK_MS = 200 -- the same while clients are told "loading"
local POOL_IDLE_MS = 60000

local _M = {}

-- Raise what Redis answered instead of a result; feed.lua catches it.
local function must(result, err)
    if not result then error(err or "no answer", 0) end
    return result
end

local function password()
    if not settings.redis_password_file then return nil end
    local file, err = io.open(settings.redis_password_file)
    if not file then error("cannot read the Redis password: " .. err, 0) end
    local text = file:read("*a"):gsub("%s+$", "")
    file:close()
    return text ~= "" and text or nil
end

-- nginx's resolver knows no search domains; resolv.conf's are tried in turn.
local function hosts()
    local host = settings.redis.host
    local names = { host }
    if host:find("^%[") or host:find("^[%d.]+$") then return names end
    for _, domain in ipairs(settings.resolver_search) do names[#names + 1] = host .. "." .. domain end
    return names
end

local function open()
    local last
    for _, host in ipairs(hosts()) do
        local connection = redis:new()
        connection:set_timeout(settings.redis_timeout_ms)
        local pool = host .. ":" .. settings.redis.port .. "/" .. settings.redis.db
        local ok, err = connection:connect(host, settings.redis.port, { pool = pool })
        if ok then return connection, host end
        last = err
    end
    error(last, 0)
end

local function login(connection, host)
    local target = settings.redis
    if target.tls then must(connection._sock:sslhandshake(nil, host, true)) end
    local secret = password()
    if secret and target.user then
        must(connection:auth(target.user, secret))
    elseif secret then
        must(connection:auth(secret))
    end
    if target.db > 0 then must(connection:select(target.db)) end
end

local function connect()
    local connection, host = open()
    if connection:get_reused_times() == 0 then login(connection, host) end
    return connection
end

-- Return "absent", "ours" or "foreign"; and the marker's text.
local function judge(text)
    if text == ngx.null then return "absent" end
    local marker = cjson.decode(text)
    if type(marker) ~= "table" or type(marker.installation) ~= "string" then return "absent" end
    return installation.accepts(marker.installation, "redis") and "ours" or "foreign", text
end

local function newest_id(connection)
    local entries = must(connection:xrevrange(STREAM, "+", "-", "COUNT", 1))
    return entries[1] and entries[1][1] or "0-0"
end

local function scan(connection)
    local cursor = "0"
    repeat
        local page = must(connection:hscan(HASH, cursor, "COUNT", SCAN_COUNT))
        cursor = page[1]
        local pairs_ = page[2]
        for i = 1, #pairs_, 2 do routes.put_json(pairs_[i], pairs_[i + 1]) end
        ngx.sleep(0) -- let waiting requests through
    until cursor == "0"
end

-- Look at the whole hash. Only a hash that was complete before and after may remove anything.
local function resync(connection, before)
    local generation = routes.next_generation()
    scan(connection)
    local now, after = judge(must(connection:get(MARKER)))
    if not before or now ~= "ours" or after ~= before then return false end
    local swept = routes.sweep(generation)
    if swept > 0 then log.info("routes-swept", { routes = swept }) end
    state:set("resync_at", ngx.now())
    state:incr("resyncs", 1, 0)
    routes.set_loaded("redis")
    return true
end

local function fields(list)
    local record = {}
    for i = 1, #list, 2 do record[list[i]] = list[i + 1] end
    return record
end

-- Apply the last word about each account; return the id of the last entry.
local function apply(entries)
    local last, newest = {}, nil
    for _, item in ipairs(entries) do
        newest = item[1]
        local change = fields(item[2])
        if change.id then last[change.id] = change end
    end
    for id, change in pairs(last) do
        if change.op == "del" then
            routes.remove(id)
        else
            routes.put_json(id, change.route)
        end
    end
    state:incr("changes", #entries, 0)
    return newest
end

-- Wait for changes; return their entries (or nil) and what the marker said right after.
local function read(connection, cursor)
    local block_ms = routes.loaded() and BLOCK_MS or LOADING_BLOCK_MS
    connection:init_pipeline()
    connection:xread("BLOCK", block_ms, "COUNT", READ_COUNT, "STREAMS", STREAM, cursor)
    connection:get(MARKER)
    local answers = must(connection:commit_pipeline())
    for _, answer in ipairs(answers) do
        if type(answer) == "table" and answer[1] == false then error(answer[2], 0) end
    end
    local entries = answers[1] ~= ngx.null and answers[1][1][2] or nil
    return entries, (judge(answers[2]))
end

-- Follow the stream until the next full look is due, or until the marker says something new.
local function follow(connection, cursor, verdict, beat)
    local until_ = ngx.now() + settings.resync_interval_s
    while ngx.now() < until_ and not ngx.worker.exiting() do
        beat(verdict == "ours")
        local entries, now = read(connection, cursor)
        if now == "foreign" then return end
        if entries then cursor = apply(entries) end
        if now == "ours" and verdict ~= "ours" then return end
        verdict = now
        ngx.update_time()
    end
end

-- One full look and the changes after it. Raises when Redis is away. `beat(complete)` is called
-- at least every second.
function _M.cycle(beat)
    local connection = connect()
    state:set("redis_connected", 1)
    local verdict, marker = judge(must(connection:get(MARKER)))
    beat(false)
    if verdict ~= "foreign" then
        local cursor = newest_id(connection)
        if resync(connection, marker) or verdict == "absent" then
            follow(connection, cursor, verdict, beat)
        end
    end
    connection:set_keepalive(POOL_IDLE_MS, 1)
    return verdict
end

return _M
