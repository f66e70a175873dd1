-- Reads reservations; changes none.
--
-- KEYS[2]  the app's list of those that are open, KEYS[3] its records
-- ARGV[6]  the client's id, or '' for the open ones, the first to expire first
-- ARGV[7]  the most of them
--
-- Answers after the head, for each: the id, the record's field, the fingerprint, the amount, the digits of its counters,
-- the day's number, when it expires, how it stands (0 open, 1 confirmed, 2 confirmed late, 3 counted by the app's rules,
-- 4 freed, 5 cancelled, 6 nothing is held: the object was there already).

local refusal = refused(COUNTING)
if refusal then
  return refusal
end

local OPEN, FREED, CANCELLED, ALREADY = 0, 4, 5, 6
local CONFIRMED = {['0'] = 1, ['1'] = 2, c = 3}
local answer = {FINE, 0, 0, now}

local function show_hold(id, only_open)
  local field, record = id, read_record(KEYS[3], id)
  local noted
  if record.state == 'i' then
    noted, field = record, record.owner
    record = read_record(KEYS[3], field)
  end
  local is_its = record.hold ~= '' and (not noted or record.id == id)
  local is_open = is_its and holds.is_open(record)
  if only_open and not is_open then
    return
  end
  local words
  if is_its then
    local how = is_open and OPEN or CONFIRMED[holds.how(record)] or record.state == 'f' and FREED or CANCELLED
    words = {id, field, record.fp, tonumber(record.number), record.counters, tonumber(record.day),
      str(holds.ends(record)), how}
  elseif noted and noted.counters ~= '' then
    words = {id, field, noted.fp, 1, noted.counters, tonumber(noted.day), '0', ALREADY}
  end
  for _, word in ipairs(words or {}) do
    answer[#answer + 1] = word
  end
end

if ARGV[6] ~= '' then
  show_hold(ARGV[6], false)
else
  for _, id in ipairs(redis.call('ZRANGE', KEYS[2], '0', str(num(ARGV[7]) - 1))) do
    show_hold(id, true)
  end
end
return seal(answer)
