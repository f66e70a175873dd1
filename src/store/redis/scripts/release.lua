-- Releases: gives back what was counted, at most as much as was, once for each id.
--
-- KEYS[2] the app, KEYS[3] its records, KEYS[4] the day's gain, KEYS[5] the shard's fold queue,
-- KEYS[6] the day's month
-- ARGV[6]  the member's incarnation
-- ARGV[7]  the record's field
-- ARGV[8]  the fingerprint
-- ARGV[9]  the day's number
-- ARGV[10] when the day's gain goes, in seconds
-- ARGV[11] the amount
-- ARGV[12] the digit of the resource's own counter
-- ARGV[13] 1 if groups, and the day's gain, follow
--
-- Answers after the head: outcome, 1 if it is an earlier one's, how many were given back, view.

local RELEASED, OTHER_CONTENT = 0, 1
local FOLD = 4

local refusal = refused(true)
if refusal then
  return refusal
end

local field, fp, day, own = ARGV[7], ARGV[8], ARGV[9], tonumber(ARGV[12])
local app = read_app(KEYS[2], ARGV[6])
local gain = read_gain(KEYS[4], ARGV[6], ARGV[10])
local record = read_record(KEYS[3], field)

local function finish(outcome, replayed, number)
  save_rest(KEYS[5])
  local reply = seal(show({FINE, 0, 0, now, outcome, replayed, number}, app, gain))
  if #writes > 0 then
    fold(KEYS[5], FOLD)
  end
  return reply
end

if record.state ~= 'x' then
  if record.state ~= 'r' or record.fp ~= fp then
    return finish(OTHER_CONTENT, 0, 0)
  end
  return finish(RELEASED, 1, tonumber(record.number))
end

-- Never more than was counted, neither of the resource nor of the groups that go with it: what is
-- released twice, as a room and as a group, mints no place.
local number = math.min(tonumber(ARGV[11]), math.max(0, app.net[own]))
local groups = 0
if ARGV[13] == '1' then
  begin_month(app, read_month(KEYS[6]), day)
  save_months()
  groups = math.min(number, math.max(0, app.net[1]))
end
-- What falls is within its bounds, but for the gain, which may be negative.
set_net(app, own, app.net[own] - number)
if ARGV[13] == '1' then
  if own ~= 1 then
    set_net(app, 1, app.net[1] - groups)
  end
  set_gain(gain, gain.net - groups)
end
save(app)
save(gain)
record.state, record.fp, record.number, record.counters = 'r', fp, str(number), ''
record.day, record.claims = day, ''
rest(record, app.id, field)
put('HSET', KEYS[3], field, pack_record(record))
return finish(RELEASED, 0, number)
