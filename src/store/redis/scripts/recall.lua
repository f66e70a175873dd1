-- Asks all members to return what they do not spend of an app's grants: they are told with their next beats.
--
-- KEYS[1]  the recalls: apps by when somebody last starved, in ms
-- ARGV[1]  the app
-- ARGV[2]  for how long a recall is told, in ms

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now - tonumber(ARGV[2])))
redis.call('ZADD', KEYS[1], string.format('%.0f', now), ARGV[1])
return 1
