-- Notes of silent members how many calls of theirs the shards have.
--
-- ARGV[1]  the installation's id, ARGV[2] the epoch in which the calls were counted
-- ARGV[3]  after how long one is silent, in ms
-- ARGV[4] … pairs: incarnation, calls
--
-- While all is well, it is a change of the roll: should the ledger forget, a member of which it has as many
-- calls then has lost nothing. While members restate, it says whether that is so.
--
-- Answers 1, or 0 if nothing was noted.

local meta = read_meta()
if meta.inst ~= ARGV[1] or meta.epoch ~= num(ARGV[2]) then
  return 0
end
for i = 4, #ARGV, 2 do
  local inc, calls = ARGV[i], num(ARGV[i + 1])
  local f = redis.call('HMGET', KEYS[2], inc, 'k:' .. inc, 'n:' .. inc)
  if meta.open == 1 then
    put('f', inc, str(calls) .. ' ' .. str(meta.epoch))
  elseif f[2] and not f[3] and beaten_at(f[1]) + num(ARGV[3]) < now then
    put('n', inc, str(calls + 1))
    change(meta, 'rollv', meta.rollv + 1)
    meta.roll_changed = true
  end
end
finish_roll(meta)
return 1
