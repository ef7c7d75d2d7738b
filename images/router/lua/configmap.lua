-- SPDX-License-Identifier: Apache-2.0
-- Routes from mounted ConfigMaps: the start when Redis is away, and slow news for as long as it is.
--
-- The kubelet refreshes the files with a delay, so they may be older than what Redis told. Hence
-- after the start only what *changed in the files* is applied, never what they merely say.
local cjson = require("cjson.safe")
local installation = require("installation")
local log = require("log")
local routes = require("routes")
local settings = require("settings")

local _M = {}

local seen = {} -- shard -> { text, routes = {id -> JSON text} }; of the one worker that feeds
local missing = {} -- id -> true: it left a file, and is in no other yet
local looked = false

local function read(shard)
    local file = io.open(settings.configmap_dir .. "/" .. shard .. "/routes.json")
    if not file then return nil end
    local text = file:read("*a")
    file:close()
    return text
end

local function parse(shard, text)
    local document = cjson.decode(text or "")
    if type(document) ~= "table" or type(document.routes) ~= "table" then
        log.warn("configmap-malformed", { shard = shard })
        return nil
    end
    return document
end

local function as_json(routes_by_id)
    local texts = {}
    for id, route in pairs(routes_by_id) do texts[id] = cjson.encode(route) end
    return texts
end

local function apply(before, after)
    for id, json in pairs(after) do
        if before[id] ~= json then routes.put_json(id, json) end
    end
    for id in pairs(before) do
        if after[id] == nil then missing[id] = true end
    end
end

local function take(shard, text, document, applying)
    local before = seen[shard] and seen[shard].routes or {}
    local after = as_json(document.routes)
    if applying then apply(before, after) end
    seen[shard] = { text = text, routes = after, shards = tonumber(document.shards) or 0 }
end

local function look_at(shard, applying)
    local text = read(shard)
    if not text or (seen[shard] and seen[shard].text == text) then return end
    local document = parse(shard, text)
    if document and installation.accepts(tostring(document.installation), "configmap") then
        take(shard, text, document, applying)
    end
end

local function complete()
    local count, shards = 0, nil
    for _, file in pairs(seen) do
        count = count + 1
        if shards and shards ~= file.shards then return false end
        shards = file.shards
    end
    return shards ~= nil and shards > 0 and count >= shards
end

local function in_another_file(id)
    for _, file in pairs(seen) do
        if file.routes[id] then return file.routes[id] end
    end
end

-- An account that left one file is only gone when all files agree on their number and none has it:
-- with another number of files, most accounts move to another one, and files change one by one.
local function settle()
    local whole = complete()
    for id in pairs(missing) do
        local json = in_another_file(id)
        if json then routes.put_json(id, json) end
        if whole and not json then routes.remove(id) end
        if whole or json then missing[id] = nil end
    end
end

-- Look at all files; apply what they say new if `applying`.
function _M.look(applying)
    -- A feeding worker that replaces a dead one finds a loaded table: it only learns the files.
    if not looked and routes.loaded() then applying = false end
    looked = true
    for shard = 0, settings.configmap_shards - 1 do look_at(shard, applying) end
    if applying then settle() else missing = {} end
    if applying and complete() then routes.set_loaded("configmap") end
end

return _M
