-- Takes: writes a record if its charge fits, or finds the one that is there. Those that name an object or reserve are
-- `take_object`'s.
--
-- KEYS[2] the app, KEYS[3] its records, KEYS[4] the day's gain, KEYS[5] the shard's fold queue
-- ARGV[6]  the attempt
-- ARGV[7]  the record's field
-- ARGV[8]  the fingerprint
-- ARGV[9]  the day's number
-- ARGV[10] when the day's gain goes, in seconds
-- ARGV[11] 1 if a refusal is remembered
-- ARGV[12] the amount
-- ARGV[13] … pairs: a counter's digit, its limit or '-'
--
-- Answers after the head: outcome, 1 if it is an earlier one's, 1 if the attempt owns the record, the
-- counter that did not fit, 1 if a recall may help, view.

local ALLOWED, DENIED, OTHER_CONTENT, WITHDRAWN, FROZEN, INCOMPLETE, OUTLIVED = 0, 1, 2, 3, 4, 5, 6
local FOLD = 4

local refusal = refused(COUNTING)
if refusal then
  return refusal
end

local attempt, field, fp, day = ARGV[6], ARGV[7], ARGV[8], ARGV[9]
local claim = member .. '.' .. attempt
local app = read_app(KEYS[2])
local gain = read_gain(KEYS[4], ARGV[10])
local record = read_record(KEYS[3], field)

local function finish(outcome, replayed, mine, counter, recallable)
  thaw(app)
  save(app)
  save(gain.hash)
  save_rest(KEYS[5])
  local reply = seal(show({FINE, 0, 0, now, outcome, replayed, mine or 0, counter or 0, recallable or 0},
    app, gain))
  if #writes > 0 and not reply.err then
    fold(KEYS[5], FOLD)
  end
  return reply
end

local function write_record()
  put('HSET', KEYS[3], field, pack_record(record))
end

if app.frozen then
  return finish(FROZEN, 0)
end
if withdrawn(record, claim) then
  return finish(WITHDRAWN, 0)
end
if record.state == 'r' or record.state == 'i' or record.hold ~= '' or record.state ~= 'x' and record.fp ~= fp then
  return finish(OTHER_CONTENT, 0)
end
if record.state == 'd' then
  return finish(DENIED, 1, 0, tonumber(record.counters))
end
-- What was counted before a recount may not be in it: asked for anew it takes a new unit. But for a copy of
-- an attempt that was answered then: nobody would own that unit.
local outlived = record.state == 'c' and is_of_older_life(app, record)
if outlived and listed(record.claims, claim .. '.') then
  return finish(OUTLIVED, 0)
end
if record.state ~= 'x' and not outlived then
  if add_claim(record, claim) then
    write_record()
  end
  return finish(ALLOWED, 1, record.owner == claim and 1 or 0)
end

local amount = tonumber(ARGV[12])
local counters, full, lent, incomplete = judge(app, gain, amount, 13)
if incomplete then
  return finish(INCOMPLETE, 0)
end
if full then
  if ARGV[11] == '1' then
    write_refusal(app, record, field, fp, str(full), day)
    write_record()
  end
  return finish(DENIED, 0, 0, full)
end
if lent then
  starve(app)
  return finish(DENIED, 0, 0, lent, 1)
end

record.state, record.fp, record.number, record.counters = 'h', fp, str(amount), counters
record.day, record.since, record.claims = day, str(now), ''
record.era, record.owner = generations(app, counters), claim
add_claim(record, claim)
charge(app, record, 1, function() return gain end)
open_record(app, field)
write_record()
return finish(ALLOWED, 0, 1)
