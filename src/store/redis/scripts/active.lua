-- Adds users to their days' sets.
--
-- KEYS[2] … for each day of an app: its users, its month, the month of the day before, the app
-- ARGV[6]  how many users a bucket holds on average at most
-- ARGV[7]  the number of days; then for each
--   the day's number, when its keys go (s), when it is sealed (ms), the number of logins, then for each
--     the low 20 bits of the member × 2^24 + the low 24 bits of the user hash's high half
--     the member: 64 bits of the user hash, as a signed decimal
--
-- Answers after the head: a '1' for each login that was new, a '2' for one that is not counted, since its day is
-- sealed, else '0'; then each day's count.
--
-- Unlike the other steps this one writes as it goes: a set is idempotent, and the count is written
-- with the last of it.

local refusal = refused(ALWAYS)
if refusal then
  return refusal
end

local full = tonumber(ARGV[6])
local newly, counts = {}, {}
local arg_at = 7

local function next_arg()
  arg_at = arg_at + 1
  return ARGV[arg_at]
end

-- As many buckets as yesterday's users need, so that today hardly splits any.
local function first_width(day, month)
  local users = num(redis.call('HGET', month, 'd' .. str(tonumber(day) - 1)))
  local k = 0
  while k < 16 and users > buckets.room(full, 2 ^ k) do
    k = k + 1
  end
  return k
end

-- Of a sealed day: whom it does not have is noted beside it. Its sets may have gone.
local function refuse_day(u, month_key, day, logins)
  local late = 0
  for at = arg_at + 1, arg_at + 2 * logins, 2 do
    local is_known = u.k and redis.call('SISMEMBER', buckets.key_of(u, tonumber(ARGV[at])), ARGV[at + 1]) == 1
    late = late + (is_known and 0 or 1)
    newly[#newly + 1] = is_known and '0' or '2'
  end
  arg_at = arg_at + 2 * logins
  if late > 0 then
    months.note_too_late(month_key, day, late)
  end
  return num(redis.call('HGET', month_key, 'd' .. day))
end

local apps = {}

local function add_day(users_key, month_key, month_before, app_key)
  local day, ends, sealed, logins = next_arg(), next_arg(), tonumber(next_arg()), tonumber(next_arg())
  local u = read_users(users_key, '')
  u.buckets = users_key .. ':'
  if now >= sealed then
    return refuse_day(u, month_key, day, logins)
  end
  if not u.k then
    u.k = first_width(day, month_before)
    note(u, 'k', str(u.k))
  end
  u.full, u.lasts = full, ends
  local users_before = u.users
  for at = arg_at + 1, arg_at + 2 * logins, 2 do
    local key = buckets.key_of(u, tonumber(ARGV[at]))
    if redis.call('SADD', key, ARGV[at + 1]) == 1 then
      buckets.keep(u, key, 1)
      newly[#newly + 1] = '1'
      u.users = u.users + 1
      if buckets.are_full(u, u.users) then
        buckets.split(u)
      end
    else
      newly[#newly + 1] = '0'
    end
  end
  arg_at = arg_at + 2 * logins
  if u.users > users_before then
    note(u, 'n', str(u.users))
    note(u, 'l', str(u.l))
    note(u, 'p', str(u.p))
    keep_until(u, ends)
    save(u)
    local month = months.read(month_key, day)
    if month.epoch ~= epoch then
      apps[app_key] = apps[app_key] or read_app(app_key)
      list(apps[app_key])
    end
    book_users(u, month, day)
  end
  return u.users + u.increments
end

for i = 1, tonumber(ARGV[7]) do
  local at = 4 * i - 2
  counts[i] = add_day(KEYS[at], KEYS[at + 1], KEYS[at + 2], KEYS[at + 3])
end
months.save()
for _, app in pairs(apps) do
  save(app)
end
local answer = {FINE, 0, 0, now, table.concat(newly)}
for i = 1, #counts do
  answer[5 + i] = counts[i]
end
return seal(answer)
