-- Releases: gives back what was counted, at most as much as was, once for each id.
--
-- KEYS[2] the app, KEYS[3] its records, KEYS[4] the day's gain, KEYS[5] the shard's fold queue,
-- KEYS[6] the month
-- ARGV[6]  the member's incarnation
-- ARGV[7]  the record's field
-- ARGV[8]  the fingerprint
-- ARGV[9]  the day's number
-- ARGV[10] when the day's gain goes, in seconds
-- ARGV[11] the amount
-- ARGV[12] the digits of the counters that move, the one that bounds the release first
--
-- Answers after the head: outcome, 1 if it is an earlier one's, how many were given back, view.

local RELEASED, OTHER_CONTENT = 0, 1
local FOLD = 4

local refusal = refused(true)
if refusal then
  return refusal
end

local field, fp, day, counters = ARGV[7], ARGV[8], ARGV[9], ARGV[12]
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

local own = tonumber(string.sub(counters, 1, 1))
local number = math.min(tonumber(ARGV[11]), math.max(0, app.net[own]))
if number > 0 then
  if string.find(counters, '1', 1, true) then
    -- A month that has seen no group yet begins with what there is before this release.
    local month = read_month(KEYS[6])
    raise_peak(month, day, app.net[1] - app.held, 0)
    save(month)
  end
  if not move(app, gain, counters, -number, 0) then
    return too_large(app)
  end
  save(app)
  save(gain)
end
record.state, record.fp, record.number, record.counters = 'r', fp, str(number), counters
record.day, record.claims = day, ''
rest(record, app.id, field)
put('HSET', KEYS[3], field, pack_record(record))
return finish(RELEASED, 0, number)
