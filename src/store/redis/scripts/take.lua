-- Takes: writes a record if its charge fits, or finds the one that is there.
--
-- KEYS[2] the app, KEYS[3] its records, KEYS[4] the day's gain, KEYS[5] the shard's fold queue,
-- KEYS[6] the day's month
-- ARGV[6]  the member's incarnation
-- ARGV[7]  the attempt
-- ARGV[8]  the record's field
-- ARGV[9]  the fingerprint
-- ARGV[10] the day's number
-- ARGV[11] when the day's gain goes, in seconds
-- ARGV[12] 1 if a refusal is remembered
-- ARGV[13] the amount
-- ARGV[14] … pairs: a counter's digit, its limit or '-'
--
-- Answers after the head: outcome, 1 if it is an earlier one's, the counter that did not fit, view.

local ALLOWED, DENIED, OTHER_CONTENT, WITHDRAWN = 0, 1, 2, 3
local FOLD = 4

local refusal = refused(true)
if refusal then
  return refusal
end

local member, attempt, field, fp = ARGV[6], ARGV[7], ARGV[8], ARGV[9]
local claim = member .. '.' .. attempt
local app = read_app(KEYS[2], member)
local gain = read_gain(KEYS[4], member, ARGV[11])
local record = read_record(KEYS[3], field)

local function finish(outcome, replayed, counter)
  save_rest(KEYS[5])
  local reply = seal(show({FINE, 0, 0, now, outcome, replayed, counter}, app, gain))
  if #writes > 0 then
    fold(KEYS[5], FOLD)
  end
  return reply
end

local function write_record()
  put('HSET', KEYS[3], field, pack_record(record))
end

if withdrawn(record, claim) then
  return finish(WITHDRAWN, 0, 0)
end
if record.state == 'r' or record.state ~= 'x' and record.fp ~= fp then
  return finish(OTHER_CONTENT, 0, 0)
end
if record.state == 'd' then
  return finish(DENIED, 1, tonumber(record.counters))
end
if record.state == 'c' then
  return finish(ALLOWED, 1, 0)
end
if record.state == 'h' then
  if add_claim(record, claim, app.gen) then
    write_record()
  end
  return finish(ALLOWED, 1, 0)
end

-- Judged part by part, in the order of the charge: the first that does not fit is the refusal.
local amount = tonumber(ARGV[13])
local counters = ''
for i = 14, #ARGV, 2 do
  local counter, limit = tonumber(ARGV[i]), ARGV[i + 1]
  local net = counter == 3 and gain.net or app.net[counter]
  if limit ~= '-' and net + amount > tonumber(limit) then
    if ARGV[12] == '1' then
      record.state, record.fp, record.number, record.counters = 'd', fp, '0', ARGV[i]
      record.day, record.claims = ARGV[10], ''
      rest(record, app.id, field)
      write_record()
    end
    return finish(DENIED, 0, counter)
  end
  counters = counters .. ARGV[i]
end

if string.find(counters, '1', 1, true) then
  begin_month(app, read_month(KEYS[6]), ARGV[10])
  save_months()
end
if not move(app, gain, counters, amount, amount) then
  return too_large(app)
end
record.state, record.fp, record.number, record.counters = 'h', fp, str(amount), counters
record.day, record.since, record.claims = ARGV[10], str(now), ''
add_claim(record, claim, app.gen)
save(app)
save(gain)
write_record()
return finish(ALLOWED, 0, 0)
