-- SPDX-License-Identifier: Apache-2.0
-- Counters, rendered in Prometheus' text format. Each worker counts for itself and adds to shared
-- memory once a second: a lock per counter and request costs more than all the rest of a request.
-- Their names are made once: to build them with each request costs a twelfth of a read.
local installation = require("installation")
local logged = require("logged")
local routes = require("routes")
local settings = require("settings")

local counters = ngx.shared.mt5_metrics
local state = ngx.shared.mt5_state

local BOUNDS_S = { 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10 }

-- Names of the counters of a kind's histogram, and, by kind and status, of its requests.
local HISTOGRAMS = { read = { sum = "sum|read" }, write = { sum = "sum|write" } }
for kind, names in pairs(HISTOGRAMS) do
    for i = 1, #BOUNDS_S + 1 do names[i] = "bucket|" .. kind .. "|" .. i end
end
local REQUESTS = {}

local _M = {}

local FLUSH_INTERVAL_S = 1

local pending = {} -- of this worker, since the last flush

local function add(key, amount)
    pending[key] = (pending[key] or 0) + amount
end

-- Also called when the worker ends: nothing counted is lost then.
local function flush()
    local counted = pending
    pending = {}
    for key, amount in pairs(counted) do counters:incr(key, amount, 0) end
end

function _M.start()
    ngx.timer.every(FLUSH_INTERVAL_S, flush)
end

local function bucket(seconds)
    for i = 1, #BOUNDS_S do
        if seconds <= BOUNDS_S[i] then return i end
    end
    return #BOUNDS_S + 1
end

-- There are few of both: kinds are ours, and statuses nginx' and the sidecar's.
local function requests(kind, status)
    local names = REQUESTS[kind] or {}
    REQUESTS[kind] = names
    local name = names[status] or ("requests|%s|%03d"):format(kind, status)
    names[status] = name
    return name
end

-- Of several tries, the last: "0.001, 0.002".
local function last_number(text)
    return tonumber(text) or tonumber((text or ""):match("([%d.]+)$"))
end

-- Count one finished request, before it is logged. Sockets last as long as they last: no histogram
-- for them.
function _M.count()
    local var = ngx.var
    local kind, status, slug = var.mt5_kind or "", ngx.status, var.mt5_problem
    add(requests(kind, status), 1)
    if slug ~= "" then add("problems|" .. slug, 1) end
    if status ~= 200 and status ~= 304 then logged.make_path_loggable() end
    -- Not even a kind: nginx closed it before it had a whole header.
    local refused = (slug ~= "" and not var.upstream_addr) or kind == ""
    if refused and not logged.has_line() then add("unlogged", 1) end
    local names = HISTOGRAMS[kind]
    local seconds = names and last_number(var.upstream_response_time)
    if not seconds then return end
    add(names[bucket(seconds)], 1)
    add(names.sum, seconds)
end

local function gauge(out, name, help, value, kind)
    out[#out + 1] = "# HELP " .. name .. " " .. help
    out[#out + 1] = "# TYPE " .. name .. " " .. (kind or "gauge")
    out[#out + 1] = name .. " " .. (value or 0)
end

local function family(out, prefix, name, help, labels)
    out[#out + 1] = "# HELP " .. name .. " " .. help
    out[#out + 1] = "# TYPE " .. name .. " counter"
    local keys = counters:get_keys(0)
    table.sort(keys)
    for _, key in ipairs(keys) do
        if key:sub(1, #prefix + 1) == prefix .. "|" then
            out[#out + 1] = name .. "{" .. labels(key) .. "} " .. counters:get(key)
        end
    end
end

local function histogram(out, kind)
    local name, total = "mt5_router_upstream_seconds", 0
    for i = 1, #BOUNDS_S + 1 do
        total = total + (counters:get("bucket|" .. kind .. "|" .. i) or 0)
        out[#out + 1] = ('%s_bucket{kind="%s",le="%s"} %d'):format(name, kind, BOUNDS_S[i] or "+Inf", total)
    end
    out[#out + 1] = ('%s_sum{kind="%s"} %s'):format(name, kind, counters:get("sum|" .. kind) or 0)
    out[#out + 1] = ('%s_count{kind="%s"} %d'):format(name, kind, total)
end

local function traffic(out)
    family(out, "requests", "mt5_router_requests_total", "Finished requests.", function(key)
        local kind, status = key:match("^requests|(.-)|(.*)$")
        return ('kind="%s",status="%s"'):format(kind, status)
    end)
    family(out, "problems", "mt5_router_problems_total", "Requests that the router itself refused.", function(key)
        return ('type="%s"'):format(key:match("|(.*)$"))
    end)
    gauge(out, "mt5_router_unlogged_requests_total", "Refused requests without a line in the access log: their address has had its share.",
        counters:get("unlogged"), "counter")
    out[#out + 1] = "# HELP mt5_router_upstream_seconds Time from connecting to a sidecar until its answer ended."
    out[#out + 1] = "# TYPE mt5_router_upstream_seconds histogram"
    histogram(out, "read")
    histogram(out, "write")
    gauge(out, "mt5_router_connections", "Open client connections.", ngx.var.connections_active)
    gauge(out, "mt5_router_connections_idle", "Of these, idle ones: they are closed where room is needed.",
        ngx.var.connections_waiting)
    gauge(out, "mt5_router_connections_reading", "Of these, those whose request's header is not whole yet.",
        ngx.var.connections_reading)
    gauge(out, "mt5_router_connections_limit", "Connections that all workers may have, both sides counted.",
        ngx.worker.count() * settings.worker_connections)
end

local function age(at)
    return at and ngx.now() - at or -1
end

local function feed(out)
    gauge(out, "mt5_router_routes", "Accounts in the table.", routes.count())
    gauge(out, "mt5_router_routes_loaded", "1 when the table holds all accounts.", routes.loaded() and 1 or 0)
    gauge(out, "mt5_router_table_full", "1 when a route did not fit: raise MT5_ROUTER_TABLE_BYTES.", state:get("full"))
    gauge(out, "mt5_router_table_free_bytes", "Free pages of the table.", routes.free_bytes())
    gauge(out, "mt5_router_redis_connected", "1 while Redis answers.", state:get("redis_connected"))
    gauge(out, "mt5_router_last_resync_age_seconds", "Since the last full look at Redis; -1: never.", age(state:get("resync_at")))
    gauge(out, "mt5_router_feed_beat_age_seconds", "Since the feeding loop last turned.", age(state:get("beat_at")))
    gauge(out, "mt5_router_foreign_installation", "1 while Redis holds another installation's routes.", installation.foreign() and 1 or 0)
    gauge(out, "mt5_router_cycles_total", "Turns of the feeding loop.", state:get("cycles"), "counter")
    gauge(out, "mt5_router_looks_total", "Full looks at Redis.", routes.generation(), "counter")
    gauge(out, "mt5_router_resyncs_total", "Full looks that found a complete table of ours.", state:get("resyncs"), "counter")
    gauge(out, "mt5_router_file_looks_total", "Looks at the ConfigMaps.", state:get("file_looks"), "counter")
    gauge(out, "mt5_router_changes_total", "Changes read from the stream.", state:get("changes"), "counter")
end

function _M.render()
    local out = {}
    traffic(out)
    feed(out)
    ngx.header["Content-Type"] = "text/plain; version=0.0.4"
    ngx.say(table.concat(out, "\n"))
end

return _M
