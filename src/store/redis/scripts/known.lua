-- Looks whether an object is counted, or held by a creation on its way; changes nothing. What is only reserved is neither.
--
-- KEYS[2]  the app, KEYS[3] its records
-- ARGV[6]  the object's field
--
-- Answers after the head: 1 if it is.

local refusal = refused(COUNTING)
if refusal then
  return refusal
end
local app, record = {id = string.match(KEYS[2], '(%d+)$')}, read_record(KEYS[3], ARGV[6])
local known = is_charged(record) and not holds.is_open(record) or record.state == 'c' or objects.kind_of(app, ARGV[6], 0)
  or objects.kind_of(app, ARGV[6], 1)
return seal({FINE, 0, 0, now, known and 1 or 0})
