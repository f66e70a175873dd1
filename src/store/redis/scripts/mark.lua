-- Moves the meta key on, if it is still the caller's installation and in the state it thinks.
--
-- KEYS[1]  the meta key
-- ARGV[1]  the installation's id
-- ARGV[2]  the state it must be in
-- ARGV[3] … field, value …
--
-- Answers 1 if it was moved, else 0.

local m = redis.call('HMGET', KEYS[1], 'inst', 'state')
if m[1] ~= ARGV[1] or m[2] ~= ARGV[2] then
  return 0
end
redis.call('HSET', KEYS[1], unpack(ARGV, 3))
return 1
