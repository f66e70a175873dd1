-- Writes the bill of an app's month, once.
--
-- KEYS[2]  the bill, a hash: bill (its text)
-- ARGV[6]  the app, ARGV[7] the month
-- ARGV[8]  when the bill goes, in seconds
-- ARGV[9]  the text, ARGV[10] who
--
-- Answers after the head: the bill that is written, 1 if it is this one.

local refusal = refused(COUNTING)
if refusal then
  return refusal
end
local known = redis.call('HGET', KEYS[2], 'bill')
if known then
  return seal({FINE, 0, 0, now, known, 0})
end
put('HSET', KEYS[2], 'bill', ARGV[9])
put('EXPIREAT', KEYS[2], ARGV[8])
record_audit(ARGV[10], 'bill', ARGV[6], ARGV[7], '', '', '')
return seal({FINE, 0, 0, now, ARGV[9], 1})
