-- Reads what is kept of an app's month; changes nothing.
--
-- KEYS[2] the app, KEYS[3] the month, KEYS[4] its bill
--
-- Answers after the head: groups that were carried in, those of now without what is reserved, the app's plans
-- as `plan` says, the bill or '', then the fields of the month's hash and their values.

local refusal = refused(ALWAYS)
if refusal then
  return refusal
end

local app = read_app(KEYS[2])
local month = redis.call('HGETALL', KEYS[3])
local carried
local answer = {FINE, 0, 0, now, 0, math.max(0, shown(app[1]) - app[1].reserved),
  redis.call('HGET', KEYS[2], 'pl') or '', redis.call('HGET', KEYS[4], 'bill') or ''}
for i = 1, #month do
  answer[8 + i] = month[i]
  if i % 2 == 1 and month[i] == 'ci' then
    carried = num(month[i + 1])
  end
end
answer[5] = carried or months.unchanged(app, tonumber(string.match(KEYS[3], '(%d+)$')))
return seal(answer)
