-- SPDX-License-Identifier: Apache-2.0
-- Settings from the environment, parsed once while nginx starts; a bad one stops it.

local function number(name, default)
    local text = os.getenv("MT5_ROUTER_" .. name)
    if text == nil or text == "" then return default end
    local value = tonumber(text)
    if not value or value <= 0 then
        error("MT5_ROUTER_" .. name .. " must be a positive number, is '" .. text .. "'", 0)
    end
    return value
end

local function text(name, default)
    local value = os.getenv("MT5_ROUTER_" .. name)
    if value == nil or value == "" then return default end
    return value
end

local function words(value)
    local list = {}
    for word in value:gmatch("%S+") do list[#list + 1] = word end
    return list
end

-- redis://[user@]host[:port][/db]; the password is in a file, never in the address.
local function redis(url)
    if not url then return nil end
    local scheme, rest = url:match("^(rediss?)://(.+)$")
    if not scheme then error("MT5_ROUTER_REDIS_URL must begin with redis:// or rediss://", 0) end
    local user, place = rest:match("^([^@/]*)@(.+)$")
    if user and user:find(":", 1, true) then
        error("MT5_ROUTER_REDIS_URL must not hold a password; use MT5_ROUTER_REDIS_PASSWORD_FILE", 0)
    end
    local authority, db = (place or rest):match("^([^/]+)/?(%d*)$")
    if not authority then error("MT5_ROUTER_REDIS_URL is not host[:port][/db]", 0) end
    local host, port = authority:match("^(%[.-%]):?(%d*)$")
    if not host then host, port = authority:match("^([^:]+):?(%d*)$") end
    if not host then error("MT5_ROUTER_REDIS_URL has no host", 0) end
    return {
        tls = scheme == "rediss",
        user = user ~= "" and user or nil,
        host = host,
        port = tonumber(port) or 6379,
        db = tonumber(db) or 0,
    }
end

return {
    redis = redis(text("REDIS_URL")),
    redis_password_file = text("REDIS_PASSWORD_FILE"),
    redis_timeout_ms = number("REDIS_TIMEOUT_MS", 2000),
    resync_interval_s = number("RESYNC_INTERVAL_S", 30),
    configmap_dir = text("CONFIGMAP_DIR", "/run/mt5/routes"),
    configmap_shards = number("CONFIGMAP_SHARDS", 64),
    configmap_interval_s = number("CONFIGMAP_INTERVAL_S", 2),
    installation = text("INSTALLATION"),
    resolver_search = words(text("RESOLVER_SEARCH", "")),
    retry_after_s = number("RETRY_AFTER_S", 2),
    client_refusals_logged_per_min = number("CLIENT_REFUSALS_LOGGED_PER_MIN", 600),
    worker_connections = number("WORKER_CONNECTIONS", 8192),
}
