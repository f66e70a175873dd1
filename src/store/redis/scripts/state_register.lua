-- Takes rows that a member knows, by a ledger that forgot them.
--
-- KEYS, see `registry`
-- ARGV[6] … for each: the app, its version, 1 if it is deleted, its life, who said so, what holds or held
--
-- Answers nothing after the head.

local refusal = refused(COUNTING)
if refusal then
  return refusal
end
for i = 6, #ARGV, 6 do
  if num(ARGV[i + 1]) > row_of(ARGV[i]).version then
    write_row(ARGV[i], num(ARGV[i + 1]), ARGV[i + 2] == '1', ARGV[i + 3], ARGV[i + 4], ARGV[i + 5])
  end
end
return seal({FINE, 0, 0, now})
