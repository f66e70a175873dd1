-- Releases: how much is given back, and what stands in a release's record for it.

local RELEASED, OTHER_CONTENT, FROZEN, INCOMPLETE = 0, 1, 2, 3

-- Whether the caller owns a release that was done before, and how many groups it gave back for it. What is in its
-- owner's sums, or was given back before a recount, nobody adds to anything any more.
local function given_before(app, record, own)
  local _, gen_own, gen_groups = string.match(record.era, '^(%d+) (%d+) (%d+)$')
  local mine = record.owner == member and tonumber(gen_own) == app[own].gen
  local groups = num(record.groups)
  if mine and own ~= 1 and num(gen_groups) ~= app[1].gen then
    groups = 0
  end
  return mine, groups
end

-- What others created from a grant, and have not reported yet, is charged as lent. The caller has reported what
-- it created: its own spare is nothing that could be deleted.
local function unreported(c)
  local _, spare = share_of(c.me, c)
  return c.out - spare
end

local function is_limited(c)
  return c.out > 0 or redis.call('HEXISTS', c.hash.key, 'l' .. c.name) == 1
end

-- Never more than is charged, neither of the resource nor of the groups that go with it: what is
-- released twice, as a room and as a group, mints no place. A counter that nothing limits is charged for
-- nothing that is lent. What was created from a grant of the other one is missing in it until it is reported: it
-- may fall below zero until then.
local function bounded(amount, c, other)
  local there = shown(c) + unreported(c)
  if there < amount and other and not is_limited(c) then
    there = there + unreported(other)
  end
  return math.min(amount, math.max(0, there))
end

-- Gives back up to `amount`, and writes the record of it. Answers how many, and how many groups with them.
local function give_back(app, gain, record, amount, own, groups_follow)
  local follows = groups_follow and own ~= 1
  local number = bounded(amount, app[own], follows and app[1])
  local groups = 0
  if groups_follow then
    groups = follows and bounded(number, app[1], app[own]) or number
  end
  set(app[own], 'back', app[own].back + number)
  if groups_follow then
    if own ~= 1 then
      set(app[1], 'back', app[1].back + groups)
    end
    set(gain, 'back', gain.back + groups)
  end
  record.era = str(epoch) .. ' ' .. str(app[own].gen) .. ' ' .. str(app[1].gen)
  return number, groups
end

-- Completes the record of a release.
local function write_release(record, fp, day, number, groups, own, groups_follow)
  record.state, record.fp, record.number, record.groups = 'r', fp, str(number), str(groups)
  record.counters = own .. (groups_follow and '3' or '')
  record.day, record.since, record.owner, record.claims = day, str(now), member, ''
  record.changed = true
end
