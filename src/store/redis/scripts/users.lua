-- Distinct users of a day.
--
-- The day's hash: n (users), i (all members' increments), m:INC (a member's own), and the shape of
-- its buckets: k, l, p. They are the sets KEY:I; a member is 64 bits of a user's hash, as a signed decimal, and what
-- comes from elsewhere is of its high half. The first k is chosen by the day before.

local function read_users(key, member)
  local h = hash(key)
  local f = redis.call('HMGET', key, 'n', 'i', 'm:' .. member, 'k', 'l', 'p')
  h.empty = not f[1] and not f[2]
  h.users, h.increments, h.mine = num(f[1]), num(f[2]), num(f[3])
  h.k, h.l, h.p = tonumber(f[4] or nil), num(f[5]), num(f[6])
  return h
end

local function keep_until(users, ends)
  if users.empty then
    users.ends = ends
  end
end

-- Books the day's count in its month: it outlives the day's sets, and the highest is what is billed.
local function book_users(users, month, day)
  local count = users.users + users.increments
  months.touch(month, day)
  note(month, 'd' .. day, str(count))
  local is_peak = count > month.users
  -- Of days that had as many it is the first, also if that has them from a late event.
  if count == month.users and count > 0 then
    month.users_day = month.users_day or num(redis.call('HGET', month.key, 'ad'))
    is_peak = tonumber(day) < month.users_day
  end
  if is_peak then
    month.users, month.users_day = count, tonumber(day)
    note(month, 'a', str(count))
    note(month, 'ad', day)
  end
end
