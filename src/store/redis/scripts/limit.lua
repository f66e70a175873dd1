-- Limits: where members state different ones of one counter, the newest edition's counts; of one edition, and of
-- settings files, whose editions nobody can compare, the lowest, for as long as anybody states it.

local STATED_MS = 60000
-- How old a statement may get before the next one of the same is written down.
local REFRESH_MS = 5000

-- The limit in force for a counter for which the caller knows `stated`, 'LIMIT' or 'LIMIT@EDITION', which it states
-- by that.
local function lowest(c, stated)
  local limit, edition = string.match(stated, '^(%d+)@?(%d*)$')
  local asked = tonumber(limit)
  edition = edition == '' and '0' or edition
  local known, at, of = string.match(redis.call('HGET', c.hash.key, 'l' .. c.name) or '', '^(%d+) (%d+) ?(%d*)$')
  local fresh = known and now < tonumber(at) + STATED_MS
  local ahead = tonumber(edition) - num(of ~= '' and of or nil)
  if fresh and (ahead < 0 or ahead == 0 and tonumber(known) < asked) then
    return tonumber(known)
  end
  if not fresh or ahead > 0 or tonumber(known) > asked or now > tonumber(at) + REFRESH_MS then
    note(c.hash, 'l' .. c.name, str(asked) .. ' ' .. str(now) .. (edition == '0' and '' or ' ' .. edition))
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
