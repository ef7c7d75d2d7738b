-- SPDX-License-Identifier: Apache-2.0
-- From a request to an account, its path there, and one of three ways to send it.
--
-- Works on the bytes of the request line, never on nginx's decoded path: what the sidecar sees is
-- what the client sent, without the prefix.
local problem = require("problem")
local routes = require("routes")

local find, match, sub = string.find, string.match, string.sub

local _M = {}

-- Asking these twice changes nothing.
local READS = { GET = true, HEAD = true, OPTIONS = true }

-- The sidecar serves these on a port that is never routed; refused here too.
local OPERATIONS = { internal = true, metrics = true, healthz = true, readyz = true }

-- Return every account_id of a query string.
local function ids_in(query)
    local ids = {}
    for value in ("&" .. query):gmatch("&account_id=([^&]*)") do ids[#ids + 1] = value end
    return ids
end

local function has_dot_segment(path)
    local plain = path:gsub("%%2[eE]", "."):gsub("%%2[fF]", "/"):gsub("%%5[cC]", "/"):gsub("\\", "/")
    return find(plain .. "/", "/%.%.?/") ~= nil
end

-- Return account id and the sidecar's path, or nil.
local function target(path, query)
    local id, rest = match(path, "^/accounts/([^/]+)(/.+)$")
    if id then return id, rest end
    id = match(path, "^/ws/account/([^/]+)$")
    if id then return id, "/ws" end
    if find(path, "^/api/") then return ids_in(query)[1], path end
    return nil
end

local function request_id()
    local given = ngx.var.http_x_request_id
    if given and #given <= 64 and find(given, "^[A-Za-z0-9._-]+$") then
        ngx.var.mt5_request_id = given
    end
end

local function split(uri)
    local mark = find(uri, "?", 1, true)
    if not mark then return uri, "" end
    return sub(uri, 1, mark - 1), sub(uri, mark + 1)
end

local function not_found()
    return problem.send(404, "not-found", "Not found",
        "Use /accounts/{id}/..., /api/...?account_id={id} or /ws/account/{id}.")
end

local function missing_route(id, what, reason, message)
    if what == "unknown" then
        return problem.send(404, "account-unknown", "Account unknown",
            "No account has this id.", { account_id = id })
    end
    if what == "loading" then
        return problem.send(503, "routes-loading", "Routes are loading",
            "The router does not know all accounts yet.", { account_id = id })
    end
    return problem.send(503, "account-unavailable", "Account unavailable",
        message ~= "" and message or "The account has no active terminal.",
        { account_id = id, reason = reason })
end

-- A client that names two accounts must not get the one that we happen to look at.
local function is_ambiguous(id, query)
    if not find(query, "account_id=", 1, true) then return false end
    for _, other in ipairs(ids_in(query)) do
        if other ~= id then return true end
    end
    return false
end

local function kind()
    local method = ngx.req.get_method()
    if not READS[method] then return "write" end
    local upgrade = ngx.var.http_upgrade
    if upgrade and method == "GET" and upgrade:lower() == "websocket" then return "socket" end
    return "read"
end

local function is_allowed(path)
    return not has_dot_segment(path) and not OPERATIONS[match(path, "^/+([^/]*)") or ""]
end

-- The access phase: answer with a problem, or go on to @read, @write or @socket.
function _M.enter()
    local var = ngx.var
    request_id()
    local path, query = split(var.request_uri)
    var.mt5_path = path
    local id, upstream_path = target(path, query)
    if not id or not is_allowed(upstream_path) then return not_found() end
    if not routes.is_id(id) then return missing_route(nil, "unknown") end
    if is_ambiguous(id, query) then
        return problem.send(400, "account-ambiguous", "Account ambiguous",
            "The request names more than one account.")
    end
    local address, what, reason, message = routes.lookup(id)
    if not address then return missing_route(id, what, reason, message) end
    var.mt5_account_id = id
    var.mt5_address = address
    var.mt5_uri = query == "" and upstream_path or upstream_path .. "?" .. query
    local way = kind()
    var.mt5_kind = way
    return ngx.exec("@" .. way)
end

return _M
