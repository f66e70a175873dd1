-- What a member says of one counter, merged with what it said before: all its sums only grow, so that the
-- larger is the newer.

-- A recount that nobody here knew of: a new life, of which only the base and those who know it say what
-- is in it.
local function begin_life(c, gen)
  set(c, 'gen', gen)
  set(c, 'u', 0)
  set(c, 'out', 0)
  set(c, 'back', 0)
  note(c.hash, 'a' .. c.name, '0 0')
end

local SUMS = {'consumed', 'released', 'taken', 'given', 'granted', 'done'}

local function merged(me, said)
  local e = {gen = me.gen, offset = me.offset}
  for i = 1, #SUMS do
    local sum = SUMS[i]
    e[sum] = math.max(me[sum], said[sum])
    if e[sum] >= COUNT_END then
      overflow = 'a member'
    end
  end
  return e
end

-- Which life of the counter the sums belong to from now on. Those that are of an older one count for
-- nothing until their member has heard of the recount, which is when it says what it had until then. Who has
-- no entry had acknowledged the freeze, or joined after it, and never had a unit of the ledger's: it began after
-- the recount, and its sums count whole. In a recovery that is not known.
local function place(e, c, me, said, restating)
  if not me.absent and me.gen == c.gen then
    return
  end
  if e.gen < c.gen then
    -- Nothing that was lent before a recount is left to spend.
    e.done = math.max(e.done, e.granted)
  end
  if said.gen == c.gen then
    e.gen, e.offset = said.gen, said.offset
  elseif me.absent and not restating and e.taken == 0 and e.given == 0 and e.granted == 0 then
    e.gen, e.offset = c.gen, 0
  else
    e.gen, e.offset = math.max(me.gen, said.gen), net(e)
  end
end

local function same(a, b)
  return a.gen == b.gen and a.offset == b.offset and a.consumed == b.consumed and a.released == b.released
    and a.taken == b.taken and a.given == b.given and a.granted == b.granted and a.done == b.done
end

-- Merges, and says whether anything was new. What is over takes nothing.
local function merge(c, said, restating)
  local me = c.me
  if me.gen == c.gen and not me.absent and said.consumed <= me.consumed and said.released <= me.released
    and said.taken <= me.taken and said.given <= me.given and said.granted <= me.granted
    and said.done <= me.done then
    return false
  end
  local e = merged(me, said)
  place(e, c, me, said, restating)
  if c.hash.over or same(e, me) then
    return false
  end
  local u_before, out_before = share_of(me, c)
  local u_after, out_after = share_of(e, c)
  set(c, 'u', c.u + u_after - u_before)
  set(c, 'out', c.out + out_after - out_before)
  c.me = e
  note(c.hash, 'm' .. c.name .. ':' .. member, pack_entry(e))
  return true
end
