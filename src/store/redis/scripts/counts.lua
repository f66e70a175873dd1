-- An app's counts: what each member says of itself, and what the ledger makes of it.
--
-- The app's hash: ep (the epoch that its `back` belongs to), mo ('month day': when groups last came or went), fz
-- (a freeze: 'token until', in ms), rc (when somebody last starved for what others hold, in ms), pl (its plans, see
-- `plan`); for each live counter K (0 accounts, 1 groups, 2 AV rooms)
--   uK  what base and members make: base + sum of (net - offset) of those of its generation
--   hK  held: charged by records that are in nobody's sums
--   rK  what of held reservations are that are not confirmed
--   bK  back: given back by releases that are in nobody's sums
--   oK  out: lent to members and neither spent nor returned
--   gK  its generation, the life between two recounts; aK its base: 'version amount'; g3 and a3 are of the
--       gain, of which each day is a life
--   nK  the epoch of its last recount, or of its first appearance, if nothing of it can be missing
--   lK  the lowest limit that was stated: 'limit ms'
--   dK  who wished to be lent: 'minute, members in it, members in the one before'; wK:INC INC's last minute
--   mK:INC  what member INC says: 'generation offset consumed released taken given granted done'
-- and q:INC (the freeze that INC has acknowledged). A gain's hash, one for each app and day, has the same
-- without K, and no generations.
-- What is shown is u + held - back; what a limit judges is that and out.
--
-- The apps of a shard, ...:apps, are a sorted set by the version of their newest base.

-- A hash that was read, and what is to be written to it: each field once, however often it changes.
local function hash(key)
  return {key = key, writes = {'HSET', key}, at = {}}
end

local function note(h, field, value)
  local at = h.at[field]
  if not at then
    at = #h.writes + 2
    h.at[field], h.writes[at - 1] = at, field
  end
  h.writes[at] = value
end

-- An app that nobody had or asked for until so long after an incomplete closing began after it: one of before is
-- asked for by then.
local NEW_AFTER_MS = 24 * 3600 * 1000

local function is_new(app)
  return app.fresh and not is_open and now > waiting_since + NEW_AFTER_MS
end

local function save(h)
  if not h.writes[3] or h.over then
    return
  end
  if h.fresh then
    note(h, 'ep', str(epoch))
    if h.id then
      put('ZADD', base .. 'apps', 'NX', '0', h.id)
      if waiting_since ~= 0 and is_new(h) then
        for k = 0, 2 do
          note(h, 'n' .. k, str(epoch))
        end
      end
    end
  end
  put_all(h.writes)
  if h.ends then
    put('EXPIREAT', h.key, h.ends)
  end
end

-- An app of which only days know something is listed as well.
local function list(app)
  if app.fresh then
    note(app, 'ep', str(epoch))
  end
end

local NOBODY = {absent = true, gen = 0, offset = 0, consumed = 0, released = 0, taken = 0, given = 0,
  granted = 0, done = 0}

local function read_entry(raw)
  if not raw then
    return NOBODY
  end
  -- Most members have created and deleted, and no more.
  local only_consumed, only_released = string.match(raw, '^0 0 (%d+) (%d+) 0 0 0 0$')
  if only_consumed then
    return {gen = 0, offset = 0, consumed = tonumber(only_consumed), released = tonumber(only_released), taken = 0,
      given = 0, granted = 0, done = 0}
  end
  local gen, offset, consumed, released, taken, given, granted, done =
    string.match(raw, '^(%d+) (%-?%d+) (%d+) (%d+) (%d+) (%d+) (%d+) (%d+)$')
  if not gen then
    error({err = 'DAMAGED sums read "' .. raw .. '"'})
  end
  return {gen = tonumber(gen), offset = tonumber(offset), consumed = tonumber(consumed),
    released = tonumber(released), taken = tonumber(taken), given = tonumber(given),
    granted = tonumber(granted), done = tonumber(done)}
end

local function pack_entry(e)
  return string.format('%.0f %.0f %.0f %.0f %.0f %.0f %.0f %.0f', e.gen, e.offset, e.consumed,
    e.released, e.taken, e.given, e.granted, e.done)
end

local function net(e)
  return e.consumed - e.released + e.taken - e.given
end

-- What a member's sums add to u, and to out: nothing, if they are of an older life of the counter.
local function share_of(e, c)
  if e.gen ~= c.gen then
    return 0, 0
  end
  return net(e) - e.offset, math.max(0, e.granted - e.done)
end

-- One counter, read from `f` at `at`. Releases that an older epoch has in `back` may long since stand in
-- their owners' sums.
local function cell(h, name, f, at, gen)
  return {hash = h, name = name, u = num(f[at]), held = num(f[at + 1]),
    back = h.stale and 0 or num(f[at + 2]), out = num(f[at + 3]), gen = gen,
    me = read_entry(f[at + 4]), reserved = num(f[at + 5])}
end

local function begin_hash(key, f)
  local h = hash(key)
  h.fresh = not f[1]
  h.stale = not h.fresh and num(f[1]) < epoch
  return h
end

local function renew(h, ...)
  if h.stale then
    note(h, 'ep', str(epoch))
    for _, field in ipairs({...}) do
      note(h, field, '0')
    end
  end
end

local function read_app(key)
  local f = redis.call('HMGET', key, 'ep', 'mo', 'fz', 'rc', 'g0', 'g1', 'g2',
    'u0', 'h0', 'b0', 'o0', 'm0:' .. member, 'r0', 'u1', 'h1', 'b1', 'o1', 'm1:' .. member, 'r1',
    'u2', 'h2', 'b2', 'o2', 'm2:' .. member, 'r2')
  local h = begin_hash(key, f)
  h.id, h.starved = string.match(key, '(%d+)$'), num(f[4])
  local month, day = string.match(f[2] or '', '^(%d+) (%-?%d+)$')
  h.month, h.day = num(month), tonumber(day)
  for k = 0, 2 do
    h[k] = cell(h, str(k), f, 8 + 6 * k, num(f[5 + k]))
  end
  renew(h, 'b0', 'b1', 'b2')
  -- A freeze of an older epoch came back with a snapshot: who acknowledged it may have gone on since.
  if h.stale and f[3] then
    note(h, 'fz', '0 0')
    f[3] = nil
  end
  h.thaws = f[3]
  local token, ends = string.match(f[3] or '', '^(%d+) (%d+)$')
  if token and now < tonumber(ends) then
    h.frozen = tonumber(token)
  end
  return h
end

-- A freeze whose time is up is taken away by the next step, so that there is an answer from after it.
local function thaw(app)
  if app.thaws and not app.frozen then
    put('HDEL', app.key, 'fz')
  end
end

-- `ends` is when the key goes, in seconds. A day whose key has gone is over: it takes nothing more.
local function read_gain(key, ends)
  local f = redis.call('HMGET', key, 'ep', 'u', 'h', 'b', 'o', 'm:' .. member, 'r')
  local h = begin_hash(key, f)
  local c = cell(h, '', f, 2, 0)
  renew(h, 'b')
  h.over = tonumber(ends) * 1000 <= now
  if h.fresh then
    h.ends = ends
  end
  return c
end

local LETTER = {u = 'u', held = 'h', back = 'b', out = 'o', gen = 'g', reserved = 'r'}

-- Sets a number of a counter.
local function set(c, what, value)
  if c.hash.over or c[what] == value then
    return
  end
  if math.abs(value) >= COUNT_END then
    overflow = c.hash.key
  end
  c[what] = value
  note(c.hash, LETTER[what] .. c.name, str(value))
end

local function shown(c)
  return c.u + c.held - c.back
end

-- What is counted for the month's peak: a record that is held may be withdrawn, and nobody shall pay for
-- a group that never came to be.
local function counted(c)
  return c.u - c.back
end

-- Whether a recovery ended without all that this counter had, or it lives since a recount of which only the
-- generation is known: such a life always has a base. A day's gain waits with the groups.
local function is_incomplete(app, k)
  local own = k == 3 and 1 or k
  if waiting_since == 0 and app[own].gen == 0 or is_new(app) then
    return false
  end
  local f = redis.call('HMGET', app.key, 'n' .. own, 'a' .. own)
  return num(f[1]) < waiting_since or app[own].gen ~= 0 and num(string.match(f[2] or '', '^%d+')) == 0
end

-- Appends the view: four counts, this member's consumed and released for each, the freeze's token or 0,
-- 1 if somebody starves; then how many counters follow with: number, generation, and this member's
-- generation, offset, taken, given, granted, done, what is lent to all, and what is reserved.
local STARVING_MS = 3000

local function show(answer, app, gain)
  local n = #answer
  local cells = {app[0], app[1], app[2], gain}
  local more = 0
  for i = 1, 4 do
    local c = cells[i]
    local e = c.me
    answer[n + i] = shown(c)
    answer[n + 3 + 2 * i], answer[n + 4 + 2 * i] = e.consumed, e.released
  end
  answer[n + 13] = app.frozen or 0
  answer[n + 14] = now < app.starved + STARVING_MS and 1 or 0
  local at = n + 15
  for i = 1, 4 do
    local c = cells[i]
    local e = c.me
    if c.gen ~= 0 or c.out ~= 0 or e.taken ~= 0 or e.given ~= 0 or e.granted ~= 0 or e.offset ~= 0
      or c.reserved ~= 0 then
      more = more + 1
      answer[at + 1], answer[at + 2], answer[at + 3] = i - 1, c.gen, e.gen
      answer[at + 4], answer[at + 5], answer[at + 6] = e.offset, e.taken, e.given
      answer[at + 7], answer[at + 8], answer[at + 9], answer[at + 10] = e.granted, e.done, c.out, c.reserved
      at = at + 10
    end
  end
  answer[n + 15] = more
  return answer
end
