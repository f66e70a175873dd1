-- Makes a shard's header, once, when the installation is made: a header that is missing later has
-- been forgotten, and is never new.
--
-- KEYS[1]  the shard's header
-- ARGV[1]  the installation's id
--
-- Answers 1 if the header is this installation's now, 0 if it is another's.

local inst = redis.call('HGET', KEYS[1], 'inst')
if not inst then
  redis.call('HSET', KEYS[1], 'inst', ARGV[1], 'epoch', '0', 'seq', '0')
  return 1
end
return inst == ARGV[1] and 1 or 0
