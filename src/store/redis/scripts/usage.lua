-- Reads an app's counts; changes none.
--
-- KEYS[2] the app, KEYS[3] the day's gain, KEYS[4] the month, KEYS[5] the day's users
-- ARGV[6]  the day's number
--
-- Answers after the head: the day's users, this member's increments among them, the month's highest day,
-- the month's highest net groups, 1 if an operator corrected the month, view.

local refusal = refused(ALWAYS)
if refusal then
  return refusal
end

local app = read_app(KEYS[2])
local gain = read_gain(KEYS[3], 0)
local users = read_users(KEYS[5], member)
local m = redis.call('HMGET', KEYS[4], 'g', 'a', 'd' .. ARGV[6], 'cv')
-- The day's own keys go when it is sealed; its month remembers the count.
local daily_active = users.empty and num(m[3]) or users.users + users.increments
local month = tonumber(string.match(KEYS[4], '(%d+)$'))
local peak = m[1] and num(m[1]) or months.unchanged(app, month)
if month >= app.month then
  -- What is there now belongs to the newest month; a held record counts for whoever looks, though not
  -- yet for the bill. A reservation does not.
  peak = math.max(peak, shown(app[1]) - app[1].reserved)
end
return seal(show({FINE, 0, 0, now, daily_active, users.mine, num(m[2]), peak, m[4] and 1 or 0}, app, gain))
