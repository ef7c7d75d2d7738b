-- SPDX-License-Identifier: Apache-2.0
-- What a sidecar answers and a client is told in other words. Not error_page: that would take the
-- sidecar's own problem documents with it.
--
-- 421: the address belongs to another account by now. The client is told to try again; the route
-- is about to change. 400 that is no problem document: the words of the sidecar's HTTP parser,
-- which is stricter than nginx (methods, bytes of a path or header, the number of headers).
local problem = require("problem")

local _M = {}

local PROBLEM = "application/problem+json"

local function replace(text)
    ngx.header["Content-Length"] = #text
    ngx.header["Content-Encoding"] = nil
    ngx.header["ETag"] = nil
    ngx.ctx.mt5_replacement = text
end

function _M.header()
    local status = ngx.status
    if status == 421 then
        replace(problem.begin(503, "account-moving", "Account is moving",
            "The account's address has just changed.", { account_id = ngx.var.mt5_account_id }))
    elseif status == 400 and ngx.header["Content-Type"] ~= PROBLEM then
        replace(problem.begin(400, "bad-request", "Bad request",
            "The sidecar could not read the request, and did nothing: is the method one of HTTP's, "
            .. "the path percent-encoded, each header plain text, and none too many?",
            { account_id = ngx.var.mt5_account_id }))
    end
end

function _M.body()
    -- ngx.ctx would make a table for each request.
    local status = ngx.status
    if status ~= 503 and status ~= 400 then return end
    local text = ngx.ctx.mt5_replacement
    if not text then return end
    -- Whatever the sidecar wrote goes; ours is written with the last piece.
    ngx.arg[1] = ngx.arg[2] and text or nil
end

return _M
