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
-- sealed, else '0'; then the count of each day of those. There may be fewer than were told: the server does nothing else
-- meanwhile, and the others are told again.
--
-- Unlike the other steps this one writes as it goes: a set is idempotent, and the count is written
-- with the last of it.

local refusal = refused(ALWAYS)
if refusal then
  return refusal
end

-- How much one step does, where placing a user is 1, as is a call to the server for it.
local WORK_MAX, DAY = 1400, 12
-- A bucket that is made later than this many users a bucket is not to be expected in this world.
local DENSE = 64

local full = tonumber(ARGV[6])
-- A split looks at each member of a bucket.
local split_work = full * 5 / 6
-- So many users are placed at once, those of a bucket together: for as many there is a split at most, while a round of splits
-- goes on.
local round_max = math.max(1, math.min(64, math.floor(full / 6)))
local newly, counts = {}, {}
local arg_at, work = 7, 0

local function next_arg()
  arg_at = arg_at + 1
  return ARGV[arg_at]
end

-- Whether there is room for some more work; for the first there is.
local function has_room(more)
  return work + more <= WORK_MAX or #newly == 0
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
    if not has_room(2) then
      break
    end
    work = work + 2
    local is_known = u.k and redis.call('SISMEMBER', buckets.key_of(u, tonumber(ARGV[at])), ARGV[at + 1]) == 1
    late = late + (is_known and 0 or 1)
    newly[#newly + 1] = is_known and '0' or '2'
  end
  if late > 0 then
    months.note_too_late(month_key, day, late)
  end
  return num(redis.call('HGET', month_key, 'd' .. day))
end

-- Puts members into a bucket that they all belong to, and notes in `is_new` which are new there.
local function add_to(key, places, is_new)
  if not places[2] then
    local added = redis.call('SADD', key, ARGV[places[1] + 1])
    is_new[places[1]] = added == 1
    work = work + 1
    return added
  end
  local members, told, new = {}, {}, {}
  for i = 1, #places do
    members[i] = ARGV[places[i] + 1]
  end
  local known = redis.call('SMISMEMBER', key, unpack(members))
  for i = 1, #places do
    local member = members[i]
    if known[i] == 0 and not told[member] then
      told[member], is_new[places[i]], new[#new + 1] = true, true, member
    end
  end
  work = work + 2
  return new[1] and redis.call('SADD', key, unpack(new)) or 0
end

-- Adds some users, which stand from `first` on.
local function add_round(u, first, many)
  local last, by_key, keys, is_new = first + 2 * (many - 1), {}, {}, {}
  for at = first, last, 2 do
    local key = buckets.key_of(u, tonumber(ARGV[at]))
    local places = by_key[key]
    if places then
      places[#places + 1] = at
    else
      by_key[key], keys[#keys + 1] = {at}, key
    end
  end
  local is_sparse = u.users < DENSE * buckets.count(u)
  for _, key in ipairs(keys) do
    local added = add_to(key, by_key[key], is_new)
    if added > 0 and is_sparse then
      buckets.keep(u, key, added)
      work = work + 1
    end
    u.users = u.users + added
  end
  for at = first, last, 2 do
    newly[#newly + 1] = is_new[at] and '1' or '0'
  end
  work = work + many
end

-- Makes room for some users. Two splits make room for more than come at once: where there should have been more splits before,
-- each round makes up for one.
local function make_room(u, many)
  for _ = 1, 2 do
    if not buckets.are_full(u, u.users + many) then
      return true
    end
    if not has_room(split_work) then
      return false
    end
    buckets.split(u)
    u.is_reshaped, work = true, work + split_work
  end
  return true
end

local apps = {}

local function add_day(users_key, month_key, month_before, app_key)
  local day, ends, sealed, logins = next_arg(), next_arg(), tonumber(next_arg()), tonumber(next_arg())
  local u = read_users(users_key, '')
  u.buckets = users_key .. ':'
  work = work + DAY
  if now >= sealed then
    return refuse_day(u, month_key, day, logins)
  end
  if not u.k then
    u.k = first_width(day, month_before)
    note(u, 'k', str(u.k))
  end
  u.full, u.lasts = full, ends
  local users_before = u.users
  local at, left = arg_at + 1, logins
  while left > 0 do
    local many = math.min(left, round_max)
    if not make_room(u, many) or not has_room(2 * many) then
      break
    end
    add_round(u, at, many)
    at, left = at + 2 * many, left - many
  end
  if u.users > users_before or u.is_reshaped then
    note(u, 'n', str(u.users))
    note(u, 'l', str(u.l))
    note(u, 'p', str(u.p))
    keep_until(u, ends)
    save(u)
  end
  if u.users > users_before then
    local month = months.read(month_key, day)
    if month.epoch ~= epoch then
      apps[app_key] = apps[app_key] or read_app(app_key)
      list(apps[app_key])
    end
    book_users(u, month, day)
  end
  return u.users + u.increments
end

local told = 0
for i = 1, tonumber(ARGV[7]) do
  local at, logins = 4 * i - 2, tonumber(ARGV[arg_at + 4])
  if not has_room(DAY + 2 * math.min(logins, round_max)) then
    break
  end
  local first = arg_at + 4
  counts[i] = add_day(KEYS[at], KEYS[at + 1], KEYS[at + 2], KEYS[at + 3])
  arg_at, told = first + 2 * logins, told + logins
  if #newly < told then
    break
  end
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
