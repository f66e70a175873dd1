-- Reads an app's counts; changes none.
--
-- KEYS[2] the app, KEYS[3] the day's gain, KEYS[4] the month, KEYS[5] the day's users
-- ARGV[6]  the member's incarnation
-- ARGV[7]  the day's number
--
-- Answers after the head: view, the day's users, this member's increments among them, the month's
-- highest day, the month's highest net groups.

local refusal, lost = refused(false)
if refusal then
  return refusal
end
if lost then
  return seal({LOST, 0, 0, now, lost})
end

local app = read_app(KEYS[2], ARGV[6])
local gain = read_gain(KEYS[3], ARGV[6], 0)
local users = read_users(KEYS[5], ARGV[6])
local m = redis.call('HMGET', KEYS[4], 'g', 'a', 'd' .. ARGV[7])
local answer = show({FINE, 0, 0, now}, app, gain)
-- The day's own keys go when it is sealed; its month remembers the count.
answer[17] = users.fresh and num(m[3]) or users.users + users.increments
answer[18] = users.mine
answer[19] = num(m[2])
answer[20] = math.max(0, num(m[1]))
if tonumber(string.match(KEYS[4], '(%d+)$')) >= app.month then
  -- What is there now belongs to the newest month; a held record counts for whoever looks, though not
  -- yet for the bill.
  answer[20] = math.max(answer[20], app.net[1])
end
return seal(answer)
