-- Corrects a day for an operator: beside its counts, which stay as they were counted.
--
-- KEYS[2]  the month
-- ARGV[6]  the app
-- ARGV[7]  the day's number, ARGV[8] its name
-- ARGV[9]  its users or '-', ARGV[10] what they were until now
-- ARGV[11] its highest groups or '-', ARGV[12] what they were until now
-- ARGV[13] how often the month was corrected, as far as the caller knows
-- ARGV[14] who, ARGV[15] why
--
-- Answers after the head: 1 if it was done, 0 if the caller does not know the newest correction.

local refusal = refused(COUNTING)
if refusal then
  return refusal
end
local day, why = ARGV[7], ARGV[15]
local month = months.read(KEYS[2], day)
local known = redis.call('HMGET', KEYS[2], 'cv', 'c' .. day)
if num(known[1]) ~= tonumber(ARGV[13]) then
  return seal({FINE, 0, 0, now, 0})
end
local users, groups = string.match(known[2] or '', '^(%S+) (%S+) ')
local function corrected(at, before, name)
  if ARGV[at] == '-' then
    return before or '-'
  end
  record_audit(ARGV[14], 'correct', ARGV[6], ARGV[8] .. ' ' .. name, ARGV[at + 1], ARGV[at], why)
  return ARGV[at]
end
users, groups = corrected(9, users, 'daily_active'), corrected(11, groups, 'groups')
months.remark(month, 'cv', str(num(known[1]) + 1))
months.remark(month, 'c' .. day, table.concat({users, groups, str(now), why}, ' '))
months.save()
return seal({FINE, 0, 0, now, 1})
