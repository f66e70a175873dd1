-- Writes down in the audit list that a member was retired.
--
-- ARGV[6]  who did it, ARGV[7] the member's name, ARGV[8] what it was lent, ARGV[9] why
--
-- Answers nothing after the head.

local refusal = refused(ALWAYS)
if refusal then
  return refusal
end
record_audit(ARGV[6], 'retire', '', ARGV[7], '', ARGV[8], ARGV[9])
return seal({FINE, 0, 0, now})
