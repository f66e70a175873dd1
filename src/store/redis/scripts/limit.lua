-- Limits: where members state different ones of one counter, the lowest counts, for as long as anybody
-- states it.

local STATED_MS = 60000
-- How old a statement may get before the next one of the same is written down.
local REFRESH_MS = 5000

-- The limit in force for a counter for which the caller knows `asked`, which it states by that.
local function lowest(c, asked)
  local stored, at = string.match(redis.call('HGET', c.hash.key, 'l' .. c.name) or '', '^(%d+) (%d+)$')
  local fresh = stored and now < tonumber(at) + STATED_MS
  if fresh and tonumber(stored) < asked then
    return tonumber(stored)
  end
  if not fresh or tonumber(stored) > asked or now > tonumber(at) + REFRESH_MS then
    note(c.hash, 'l' .. c.name, str(asked) .. ' ' .. str(now))
  end
  return asked
end

-- Notes that somebody starves for units that others hold.
local function starve(app)
  if now > app.starved + STARVING_MS / 3 then
    app.starved = now
    note(app, 'rc', str(now))
  end
end
