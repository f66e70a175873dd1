-- Ends the making of a ledger, if it is still the caller's: it is ready, or it is given up.
--
-- KEYS[1]  the meta key
-- ARGV[1]  the installation's id
-- ARGV[2]  1 if it is ready
--
-- Answers 1 if it was ended, else 0.

local m = redis.call('HMGET', KEYS[1], 'inst', 'state')
if m[1] ~= ARGV[1] or m[2] ~= 'creating' then
  return 0
end
if ARGV[2] == '1' then
  redis.call('HSET', KEYS[1], 'state', 'ready')
else
  redis.call('DEL', KEYS[1])
end
return 1
