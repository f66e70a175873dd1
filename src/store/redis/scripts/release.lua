-- Releases: gives back what is charged, at most as much as is, once for each id.
--
-- KEYS[2] the app, KEYS[3] its records, KEYS[4] the day's gain, KEYS[5] the shard's fold queue,
-- KEYS[6] the day's month
-- ARGV[6]  the record's field
-- ARGV[7]  the fingerprint
-- ARGV[8]  the day's number
-- ARGV[9]  when the day's gain goes, in seconds
-- ARGV[10] the amount
-- ARGV[11] the digit of the resource's own counter
-- ARGV[12] 1 if groups, and the day's gain, follow
--
-- Answers after the head: outcome, 1 if it is an earlier one's, 1 if the caller owns it, how many were given
-- back, how many groups with them, view.

local RELEASED, OTHER_CONTENT, FROZEN, INCOMPLETE = 0, 1, 2, 3
local FOLD = 4

local refusal = refused(COUNTING)
if refusal then
  return refusal
end

local field, fp, day, own = ARGV[6], ARGV[7], ARGV[8], tonumber(ARGV[11])
local app = read_app(KEYS[2])
local gain = read_gain(KEYS[4], ARGV[9])
local record = read_record(KEYS[3], field)

local function finish(outcome, replayed, mine, number, groups)
  thaw(app)
  save(app)
  save(gain.hash)
  save_months()
  local reply = seal(show({FINE, 0, 0, now, outcome, replayed, mine or 0, number or 0, groups or 0}, app, gain))
  if #writes > 0 and not reply.err then
    fold(KEYS[5], FOLD)
  end
  return reply
end

if app.frozen then
  return finish(FROZEN, 0)
end
if record.state ~= 'x' then
  if record.state ~= 'r' or record.fp ~= fp then
    return finish(OTHER_CONTENT, 0)
  end
  -- What is in its owner's sums, or was given back before a recount, nobody adds to anything any more.
  local _, gen_own, gen_groups = string.match(record.era, '^(%d+) (%d+) (%d+)$')
  local mine = record.owner == member and tonumber(gen_own) == app[own].gen
  local groups = num(record.groups)
  if mine and own ~= 1 and num(gen_groups) ~= app[1].gen then
    groups = 0
  end
  return finish(RELEASED, 1, mine and 1 or 0, tonumber(record.number), groups)
end

-- Of what nobody has told again it cannot be said how much there is to give back.
if is_incomplete(app, own) or ARGV[12] == '1' and is_incomplete(app, 1) then
  list(app)
  return finish(INCOMPLETE, 0)
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
local groups_follow = ARGV[12] == '1'
local follows = groups_follow and own ~= 1
local number = bounded(tonumber(ARGV[10]), app[own], follows and app[1])
local groups = 0
if groups_follow then
  begin_month(app, read_month(KEYS[6]), day)
  groups = follows and bounded(number, app[1], app[own]) or number
end
set(app[own], 'back', app[own].back + number)
if groups_follow then
  if own ~= 1 then
    set(app[1], 'back', app[1].back + groups)
  end
  set(gain, 'back', gain.back + groups)
end
record.state, record.fp, record.number, record.groups = 'r', fp, str(number), str(groups)
record.counters = ARGV[11] .. (groups_follow and '3' or '')
record.day, record.since, record.owner, record.claims = day, str(now), member, ''
record.era = str(epoch) .. ' ' .. str(app[own].gen) .. ' ' .. str(app[1].gen)
put('HSET', KEYS[3], field, pack_record(record))
return finish(RELEASED, 0, 1, number, groups)
