-- Lends units to a member that wishes for them: a part of what is free, so that all who ask for some get
-- some, and never more than is free.

-- Less is not worth an account: such a member asks for each unit.
local GRANT_MIN = 4
-- The most units that one creation asks for.
local CREATION_MAX = 100
local MINUTE_MS = 60000

-- How many members wished in this minute or the one before, the caller among them.
local function wishers(c)
  local f = redis.call('HMGET', c.hash.key, 'd' .. c.name, 'w' .. c.name .. ':' .. member)
  local minute, here, before = string.match(f[1] or '', '^(%d+) (%d+) (%d+)$')
  local last, this = tonumber(f[2] or nil), math.floor(now / MINUTE_MS)
  minute, here, before = num(minute), num(here), num(before)
  if minute ~= this then
    here, before = 0, minute == this - 1 and here or 0
  end
  if last ~= this then
    here = here + 1
    if last == this - 1 then
      before = math.max(0, before - 1)
    end
    note(c.hash, 'd' .. c.name, str(this) .. ' ' .. str(here) .. ' ' .. str(before))
    note(c.hash, 'w' .. c.name .. ':' .. member, str(this))
  end
  return here + before
end

-- Grants `units` to the caller, wished for under `limit`. It comes last: all else that the call says is
-- judged by what the counter is then. While somebody starves, what one creation may need stays free: what
-- members have just returned for it would else be theirs again before it has come.
local function lend(app, c, k, said)
  if c.hash.over or app.frozen or is_open or said.gen ~= c.gen or is_incomplete(app, k) then
    return
  end
  local e = c.me
  if e.absent then
    e = merged(NOBODY, NOBODY)
    e.gen, e.offset = c.gen, said.offset
  end
  local spare = math.max(0, e.granted - e.done)
  local limit = lowest(c, said.limit)
  local ways = 2 * wishers(c)
  local free = limit - shown(c) - c.out
  if now < app.starved + STARVING_MS then
    free = free - CREATION_MAX
  end
  local more = math.min(said.units - spare, math.floor(free / ways))
  if more > 0 and spare + more >= GRANT_MIN then
    e.granted = e.granted + more
    set(c, 'out', c.out + more)
    c.me = e
    note(c.hash, 'm' .. c.name .. ':' .. member, pack_entry(e))
  elseif said.units > 0 and spare == 0 and c.out > 0 then
    starve(app)
  end
end
