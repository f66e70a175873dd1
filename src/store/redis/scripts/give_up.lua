-- Gives a member up that is to be retired while members restate: this recovery does not wait for it any more. Nothing that it
-- had is booked, since bases are being told, and it is still a member: whatever is missing with it, apps wait for a recount.
--
-- ARGV[1]  the installation's id, ARGV[2] the caller's epoch
-- ARGV[3]  who is given up
--
-- Answers the status: FINE if no recovery is open, and nothing was to do.

local FINE, ABSENT, OTHER, BEHIND, OPEN = 0, 1, 2, 3, 4

local meta = read_meta()
if meta.inst == '' then
  return {ABSENT}
end
if meta.inst ~= ARGV[1] then
  return {OTHER}
end
if meta.epoch > num(ARGV[2]) then
  return {BEHIND}
end
if meta.open == 0 then
  return {FINE}
end
if redis.call('HEXISTS', KEYS[2], 'k:' .. ARGV[3]) == 1 then
  redis.call('HSET', KEYS[2], 'd:' .. ARGV[3], str(meta.epoch))
end
return {OPEN}
