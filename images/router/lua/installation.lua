-- SPDX-License-Identifier: Apache-2.0
-- Whose routes are these? Two installations that share a Redis by mistake must not mix their
-- accounts. The setting decides; else the ConfigMaps, which are of our own namespace; else the
-- first one that Redis names.
local log = require("log")
local settings = require("settings")

local state = ngx.shared.mt5_state

local _M = {}

local function adopt(id, source)
    state:set("installation", id)
    log.info("installation-adopted", { installation = id, source = source })
end

local function refuse(id, source)
    if state:get("foreign") ~= id then
        log.error("installation-foreign", { installation = id, source = source, ours = _M.current() })
    end
    state:set("foreign", id)
    return false
end

function _M.current()
    return settings.installation or state:get("installation")
end

function _M.foreign()
    return state:get("foreign")
end

-- True when routes of installation `id` are ours; the first one asked about becomes ours.
function _M.accepts(id, source)
    local current = _M.current()
    if current == id then
        state:delete("foreign")
        return true
    end
    if current == nil or (source == "configmap" and not settings.installation) then
        adopt(id, source)
        return true
    end
    return refuse(id, source)
end

return _M
