-- Gives all members notice of a freeze, if there is room for one more.
--
-- KEYS[1]  the notices: APP 'token until' of what a recount has frozen
-- ARGV[1]  the app, ARGV[2] the token, ARGV[3] until when it is frozen, in ms
-- ARGV[4]  the most notices: each beat tells all of them, so that nobody is left out
--
-- Answers 1, or 0 if there are so many already.

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local others = 0
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  if all[i] ~= ARGV[1] and tonumber(string.match(all[i + 1], ' (%d+)$')) > now then
    others = others + 1
  end
end
if others >= tonumber(ARGV[4]) then
  return 0
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2] .. ' ' .. ARGV[3])
return 1
