-- SPDX-License-Identifier: Apache-2.0
-- The table of routes, shared by all workers. Knows nothing of where routes come from.
--
-- An entry is the address itself ("10.1.2.3:8080": the hot path needs no decoding), or, while an
-- account has no active slot, "!" and JSON with the reason. Each entry carries the number of the
-- full resync that last saw it; what a complete resync did not see is swept.
local cjson = require("cjson.safe")
local log = require("log")

local table_ = ngx.shared.mt5_routes
local state = ngx.shared.mt5_state

local _M = {}

local INACTIVE = "!"
local INACTIVE_BYTE = INACTIVE:byte()

function _M.is_id(text)
    return #text <= 64 and text:find("^[A-Za-z0-9_-]+$") ~= nil
end

-- Only literal addresses: nginx would otherwise refuse them in the middle of a request.
local function is_address(text)
    return text:find("^%d+%.%d+%.%d+%.%d+:%d+$") ~= nil or text:find("^%[[%x:.]+%]:%d+$") ~= nil
end

local function inactive(reason, message)
    return INACTIVE .. cjson.encode({ reason = reason, message = message })
end

local function text_or_empty(value)
    return type(value) == "string" and value or ""
end

local function entry(route)
    local address = text_or_empty(route.address)
    if address == "" then
        return inactive(text_or_empty(route.reason), text_or_empty(route.message))
    end
    if not is_address(address) then
        return inactive("RouteMalformed", "The route's address is not ip:port.")
    end
    return address
end

-- Return the address; or nil and what is known ("inactive", reason, message), or "unknown", or
-- "loading" while the table may still lack accounts.
function _M.lookup(id)
    local value = table_:get(id)
    if value == nil then
        return nil, state:get("loaded") and "unknown" or "loading"
    end
    if value:byte() ~= INACTIVE_BYTE then return value end
    local why = cjson.decode(value:sub(2)) or {}
    return nil, "inactive", why.reason, why.message
end

function _M.generation()
    return state:get("generation") or 0
end

function _M.next_generation()
    return state:incr("generation", 1, 0)
end

-- Set one route; false when it cannot be kept. Never pushes out another account's route.
function _M.put(id, route)
    if not _M.is_id(id) or type(route) ~= "table" then
        log.warn("route-malformed", { account = tostring(id):sub(1, 64) })
        return false
    end
    local ok, err = table_:safe_set(id, entry(route), 0, _M.generation())
    state:set("full", ok and 0 or 1)
    if not ok then log.error("route-table-full", { account = id, message = err }) end
    return ok
end

function _M.put_json(id, json)
    return _M.put(id, cjson.decode(json))
end

function _M.remove(id)
    table_:delete(id)
end

-- Remove what the resync of this generation did not see; return how many.
function _M.sweep(generation)
    local swept = 0
    for _, id in ipairs(table_:get_keys(0)) do
        local _, seen = table_:get(id)
        if (seen or 0) ~= generation then
            table_:delete(id)
            swept = swept + 1
        end
    end
    return swept
end

function _M.count()
    return #table_:get_keys(0)
end

function _M.free_bytes()
    return table_:free_space()
end

function _M.loaded()
    return state:get("loaded") == true
end

function _M.set_loaded(source)
    if not _M.loaded() then log.info("routes-loaded", { source = source, routes = _M.count() }) end
    state:set("loaded", true)
end

return _M
