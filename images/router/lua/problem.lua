-- SPDX-License-Identifier: Apache-2.0
-- Errors of the router itself: RFC 9457, as the sidecar's.
local cjson = require("cjson.safe")
local settings = require("settings")

local _M = {}

local TYPE = "application/problem+json"

local function body(status, slug, title, detail, more)
    local document = {
        type = "/problems/" .. slug,
        title = title,
        status = status,
        detail = detail,
        request_id = ngx.var.mt5_request_id,
    }
    for name, value in pairs(more or {}) do
        if value ~= "" then document[name] = value end
    end
    -- lua-cjson writes every slash as \/, valid but ugly in what people read.
    return (cjson.encode(document):gsub("\\/", "/")) .. "\n"
end

-- Set status and headers, return the body.
local function begin(status, slug, title, detail, more)
    -- Before the URI is read, nginx refuses without having set our variables.
    if ngx.var.mt5_request_id == "" then ngx.var.mt5_request_id = ngx.var.request_id end
    ngx.status = status
    ngx.header["Content-Type"] = TYPE
    ngx.header["Cache-Control"] = "no-store"
    if status == 503 or status == 429 then ngx.header["Retry-After"] = settings.retry_after_s end
    ngx.var.mt5_problem = slug
    return body(status, slug, title, detail, more)
end

_M.begin = begin

-- Answer and end the request.
function _M.send(status, slug, title, detail, more)
    local text = begin(status, slug, title, detail, more)
    ngx.header["Content-Length"] = #text
    ngx.print(text)
    return ngx.exit(ngx.HTTP_OK)
end

local PLAIN = {
    ["400"] = { 400, "bad-request", "Bad request", "The request is not valid HTTP." },
    ["404"] = { 404, "not-found", "Not found", "There is nothing at this path." },
    ["405"] = { 405, "method-not-allowed", "Method not allowed", "The method is not supported." },
    ["408"] = { 408, "request-timeout", "Request timeout", "The request did not arrive in time." },
    ["411"] = { 411, "length-required", "Length required", "The body's length is missing." },
    ["413"] = { 413, "content-too-large", "Content too large", "The body is larger than the router takes." },
    ["414"] = { 414, "uri-too-long", "URI too long", "The request line is longer than the router takes." },
    ["429"] = { 429, "too-many-requests", "Too many requests",
        "Your address asks this account for too much; nothing was sent. Too many requests a second or at once, or too many large ones of all clients." },
    ["494"] = { 431, "header-too-large", "Header too large", "A header is larger than the router takes." },
    ["501"] = { 501, "not-implemented", "Not implemented", "The transfer encoding is not supported." },
    ["505"] = { 505, "http-version-not-supported", "HTTP version not supported", "Speak HTTP/1.1." },
    ["500"] = { 500, "router-fault", "Router fault", "The router failed; its log has the request's id." },
}

-- Nothing came back from the sidecar. Whether the request reached it decides what we may say:
-- without a connection it certainly did not; with one, an order's outcome is unknown.
function _M.no_answer()
    local connected = (ngx.var.upstream_connect_time or "-"):match("([%d.]+)%s*$") ~= nil
    local more = { account_id = ngx.var.mt5_account_id }
    if not connected then
        return _M.send(503, "account-unreachable", "Account unreachable",
            "The account's sidecar accepted no connection. The request was not sent.", more)
    end
    if ngx.var.mt5_kind == "write" then
        return _M.send(504, "outcome-unknown", "Outcome unknown",
            "The request was sent once and its answer was lost. Ask GET /api/order/{key} before "
            .. "anything else; the router has not repeated it.", more)
    end
    return _M.send(503, "account-no-answer", "No answer",
        "The account's sidecar did not answer in time.", more)
end

-- Answer what nginx itself refused, by its code.
function _M.from_nginx(code)
    local plain = PLAIN[code] or PLAIN["500"]
    return _M.send(plain[1], plain[2], plain[3], plain[4])
end

return _M
