-- Bases: what no present member's sums contain of a counter. See `counts` for where they are. Each day is a
-- life of its own of the gain; only the newest has a base, since nobody asks for what was gained on one that is over.

local GAINED = 3

-- The version of what this step writes: its own count of writes.
local function this_version()
  return seq + 1
end

local function read_bases(app)
  local f = redis.call('HMGET', app.key, 'a0', 'a1', 'a2', 'a3', 'g3')
  app[GAINED] = {gen = num(f[5])}
  for k = 0, GAINED do
    local version, amount = string.match(f[k + 1] or '', '^(%d+) (%-?%d+)$')
    app[k].version, app[k].base = num(version), num(amount)
  end
end

-- Whether the gain of `day` has a base, or gets one now.
local function is_newest_day(app, day)
  local c = app[GAINED]
  if day > c.gen then
    c.gen, c.version, c.base = day, 0, 0
    note(app, 'g' .. GAINED, str(day))
  end
  return day == c.gen
end

-- The highest version that this step writes, if it writes one.
local top_version

-- Notes a base and, in the shard's list, that the app has a newer one. It does not touch u.
local function write_base(app, k, version, amount)
  local c = app[k]
  c.version, c.base = version, amount
  top_version = math.max(top_version or 0, version)
  note(app, 'a' .. k, str(version) .. ' ' .. str(amount))
  put('ZADD', base .. 'apps', 'GT', str(version), app.id)
end

local function save_version()
  if top_version then
    head('bv', str(math.max(top_version, num(redis.call('HGET', KEYS[1], 'bv')))))
  end
end

-- For how long a shard remembers who is gone: a day longer than the roll does.
local GONE_KEPT_MS = 31 * 24 * 3600 * 1000

local marked = {}

-- Takes away the marks that no roll has any more.
local function forget_gone()
  local all = redis.call('HGETALL', KEYS[1])
  for i = 1, #all, 2 do
    local inc = string.match(all[i], '^x:(.*)$')
    if inc and num(all[i + 1]) + GONE_KEPT_MS < now then
      put('HDEL', KEYS[1], all[i])
    end
  end
end

-- Who is gone: reports of it change nothing any more, and nobody asks how many calls of it are here.
local function mark_gone(inc)
  if not next(marked) then
    forget_gone()
  end
  marked[inc] = true
  -- After what is forgotten.
  put('HSET', KEYS[1], 'x:' .. inc, str(now))
  put('HDEL', KEYS[1], 'c:' .. inc)
end

-- The entries of a member in an app, one for each counter.
local function entries_of(app, inc)
  local f = redis.call('HMGET', app.key, 'm0:' .. inc, 'm1:' .. inc, 'm2:' .. inc)
  return {[0] = f[1], f[2], f[3]}
end

local function drop_entries(app, inc)
  put('HDEL', app.key, 'm0:' .. inc, 'm1:' .. inc, 'm2:' .. inc, 'w0:' .. inc, 'w1:' .. inc, 'w2:' .. inc, 'q:' .. inc)
end

-- Moves all that a member counted of an app into the bases, and what it was lent and did not spend as
-- well if that counts as used. Answers whether there was anything, and how much was lent.
local function fold_member(app, inc, lent_is_used)
  local raw, known, any, lent = entries_of(app, inc), false, false, 0
  for k = 0, 2 do
    if raw[k] then
      local c, e = app[k], read_entry(raw[k])
      local u, out = share_of(e, c)
      local used = lent_is_used and out or 0
      known = true
      any = any or e.consumed > 0 or e.released > 0 or e.taken > 0 or e.given > 0 or e.granted > 0
      lent = lent + out
      set(c, 'u', c.u + used)
      set(c, 'out', c.out - out)
      if u + used ~= 0 then
        write_base(app, k, this_version(), c.base + u + used)
      end
    end
  end
  if known then
    drop_entries(app, inc)
  end
  return any, lent
end

-- The same for the gain of a day. Answers how much was lent.
local function fold_gain(app, day, inc, lent_is_used)
  local key = base .. 'g:' .. app.id .. ':' .. str(day)
  local f = redis.call('HMGET', key, 'u', 'o', 'm:' .. inc)
  if not f[3] then
    return 0
  end
  local e = read_entry(f[3])
  local out = math.max(0, e.granted - e.done)
  local used = lent_is_used and out or 0
  put('HSET', key, 'u', str(num(f[1]) + used), 'o', str(num(f[2]) - out))
  put('HDEL', key, 'm:' .. inc, 'w:' .. inc)
  local counted = net(e) + used
  if counted ~= 0 and is_newest_day(app, day) then
    write_base(app, GAINED, this_version(), app[GAINED].base + counted)
  end
  return out
end
