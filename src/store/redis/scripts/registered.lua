-- Reads rows of the register, those first that came first.
--
-- KEYS[1]  the register, KEYS[2] its order
-- ARGV[1]  the place after which to begin, ARGV[2] how many at most
--
-- Answers the rows.

local since = string.format('%.0f', tonumber(ARGV[1]) + 1)
local rows = {}
for _, app in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], since, '+inf', 'LIMIT', '0', ARGV[2])) do
  rows[#rows + 1] = redis.call('HGET', KEYS[1], app)
end
return rows
