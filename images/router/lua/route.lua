-- SPDX-License-Identifier: Apache-2.0
-- From a request to an account, its path there, and one of three ways to send it.
--
-- Works on the bytes of the request line, never on nginx's decoded path: what the sidecar sees is
-- what the client sent, without the prefix. The usual way through here avoids Lua patterns: LuaJIT
-- does not compile them, and that costs a fifth of the router's throughput.
local problem = require("problem")
local routes = require("routes")

local find, match, sub = string.find, string.match, string.sub

local _M = {}

-- Asking these twice changes nothing.
local READS = { GET = true, HEAD = true, OPTIONS = true }

-- The sidecar serves these on a port that is never routed; refused here too.
local OPERATIONS = { internal = true, metrics = true, healthz = true, readyz = true }

local ACCOUNTS, SOCKET, PARAMETER = "/accounts/", "/ws/account/", "account_id="

local function begins(text, prefix)
    return sub(text, 1, #prefix) == prefix
end

-- Return the value of the next account_id at or after `from`, and where to go on.
local function next_id(query, from)
    local at = find(query, PARAMETER, from, true)
    while at and at > 1 and sub(query, at - 1, at - 1) ~= "&" do
        at = find(query, PARAMETER, at + 1, true)
    end
    if not at then return nil end
    local stop = find(query, "&", at, true) or #query + 1
    return sub(query, at + #PARAMETER, stop - 1), stop
end

local function has_dot_segment(path)
    if not find(path, ".", 1, true) and not find(path, "%", 1, true) then return false end
    local plain = path:gsub("%%2[eE]", "."):gsub("%%2[fF]", "/"):gsub("%%5[cC]", "/"):gsub("\\", "/")
    return find(plain .. "/", "/%.%.?/") ~= nil
end

-- /accounts/{id}/...: return id and the rest.
local function by_path(path)
    local stop = find(path, "/", #ACCOUNTS + 1, true)
    if not stop or stop == #ACCOUNTS + 1 or stop == #path then return nil end
    return sub(path, #ACCOUNTS + 1, stop - 1), sub(path, stop)
end

-- /ws/account/{id}: return id and the sidecar's path.
local function by_socket(path)
    local id = sub(path, #SOCKET + 1)
    if id == "" or find(id, "/", 1, true) then return nil end
    return id, "/ws"
end

-- Return account id and the sidecar's path, or nil.
local function target(path, query)
    if begins(path, ACCOUNTS) then return by_path(path) end
    if begins(path, SOCKET) then return by_socket(path) end
    if begins(path, "/api/") then return next_id(query, 1), path end
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
    if not routes.is_id(id) then id, what = nil, "unknown" end
    if what == "unknown" then
        return problem.send(404, "account-unknown", "Account unknown",
            "No account has this id.", { account_id = id })
    end
    if what == "loading" then
        return problem.send(503, "routes-loading", "Routes are loading",
            "The router does not know all accounts yet.", { account_id = id })
    end
    return problem.send(503, "account-unavailable", "Account unavailable",
        (message or "") ~= "" and message or "The account has no active terminal.",
        { account_id = id, reason = reason })
end

-- A client that names two accounts must not get the one that we happen to look at.
local function is_ambiguous(id, query)
    local other, from = next_id(query, 1)
    while other do
        if other ~= id then return true end
        other, from = next_id(query, from)
    end
    return false
end

local function ambiguous()
    return problem.send(400, "account-ambiguous", "Account ambiguous",
        "The request names more than one account.")
end

-- Sockets are not counted as requests on their way, so nothing else may pass for one.
local function kind(path)
    local method = ngx.req.get_method()
    if not READS[method] then return "write" end
    if method ~= "GET" or not begins(path, "/ws") then return "read" end
    local upgrade = ngx.var.http_upgrade
    return upgrade and upgrade:lower() == "websocket" and "socket" or "read"
end

local function is_allowed(path)
    if begins(path, "/api/") then return not has_dot_segment(path) end
    return not has_dot_segment(path) and not OPERATIONS[match(path, "^/+([^/]*)") or ""]
end

-- Refuse a request to an account without an address. Those of no account share a limit of their own,
-- so that who looks for account ids takes nothing from accounts behind the same address.
local function refuse_account(id, what)
    if what == "unknown" then return ngx.exec("@unknown") end
    if what == "inactive" then ngx.var.mt5_account_id = id end
    return ngx.exec("@refused")
end

-- The rewrite phase: go on to a refusal, let a read pass, or go on to @write or @socket.
function _M.enter()
    local var = ngx.var
    request_id()
    local path, query = split(var.request_uri)
    var.mt5_path = path
    local id, upstream_path = target(path, query)
    if not id or not is_allowed(upstream_path) then return ngx.exec("@unknown") end
    if is_ambiguous(id, query) then return ngx.exec("@refused") end
    local address, what = routes.lookup(id)
    if not address then return refuse_account(id, what) end
    var.mt5_account_id = id
    var.mt5_address = address
    var.mt5_uri = query == "" and upstream_path or upstream_path .. "?" .. query
    local way = kind(upstream_path)
    var.mt5_kind = way
    if way ~= "read" then return ngx.exec("@" .. way) end
end

-- Answer what `enter` refused, after the limits have let it pass.
function _M.refuse()
    local path, query = split(ngx.var.request_uri)
    local id, upstream_path = target(path, query)
    if not id or not is_allowed(upstream_path) then return not_found() end
    if is_ambiguous(id, query) then return ambiguous() end
    local _, what, reason, message = routes.lookup(id)
    return missing_route(id, what, reason, message)
end

return _M
