-- Folds a member's sums of some apps into the bases, since it leaves or is retired.
--
-- KEYS[2] … the apps
-- ARGV[6]  who goes
-- ARGV[7]  1 if what it was lent counts as used
-- ARGV[8]  today's number, ARGV[9] its month's
-- ARGV[10] … the numbers of the days whose gains may be there
--
-- Answers after the head: in how many apps there was something, how many units were lent.

local refusal = refused(FOLDING)
if refusal then
  return refusal
end
local inc, lent_is_used = ARGV[6], ARGV[7] == '1'
local apps, lent = 0, 0
for i = 2, #KEYS do
  local app = read_app(KEYS[i])
  read_bases(app)
  local before = counted(app[1])
  local any, out = fold_member(app, inc, lent_is_used)
  if counted(app[1]) ~= before then
    months.book(app, months.key(app.id, num(ARGV[9])), ARGV[8], before)
  end
  for day = 10, #ARGV do
    out = out + fold_gain(app, num(ARGV[day]), inc, lent_is_used)
  end
  apps, lent = apps + (any and 1 or 0), lent + out
  save(app)
end
months.save()
save_version()
mark_gone(inc)
return seal({FINE, 0, 0, now, apps, lent})
