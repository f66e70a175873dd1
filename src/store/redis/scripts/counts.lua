-- An app's counts.
--
-- The app's hash: gen (the generation, absent: 0), u0 u1 u2 (net accounts, groups, AV rooms: all
-- members' totals and all records that count), h1 (groups in records that are held and not yet
-- counted), mo (the newest month that was touched), mK:INC ('generation consumed released' of member
-- INC for counter K).
-- A gain's hash, one for each app and day: u (net), m:INC ('consumed released').
-- A month's hash, one for each app: ci (net groups carried in), g and gd (the peak of counted net
-- groups and its day), a and ad (the peak of daily active users and its day), dDAY (users of a day).

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

local function save(h)
  if h.writes[3] then
    put(unpack(h.writes))
    if h.ends then
      put('EXPIREAT', h.key, h.ends)
    end
  end
end

local function read_app(key, member)
  local h = hash(key)
  local f = redis.call('HMGET', key, 'gen', 'u0', 'u1', 'u2', 'h1', 'mo',
    'm0:' .. member, 'm1:' .. member, 'm2:' .. member)
  h.id, h.gen, h.member = string.match(key, '(%d+)$'), f[1] or '0', member
  h.net = {[0] = num(f[2]), num(f[3]), num(f[4])}
  h.held, h.month = num(f[5]), num(f[6])
  h.consumed, h.released = {}, {}
  for counter = 0, 2 do
    local gen, c, r = string.match(f[7 + counter] or '', '^(%d+) (%d+) (%d+)$')
    -- Totals of an older generation are not part of the count.
    local current = gen == h.gen
    h.consumed[counter] = current and tonumber(c) or 0
    h.released[counter] = current and tonumber(r) or 0
  end
  return h
end

-- `ends` is when the key goes, in seconds. A day whose key has gone is over: it takes nothing more.
local function read_gain(key, member, ends)
  local h = hash(key)
  local f = redis.call('HMGET', key, 'u', 'm:' .. member)
  local c, r = string.match(f[2] or '', '^(%d+) (%d+)$')
  h.member, h.net = member, num(f[1])
  h.consumed, h.released = tonumber(c or 0), tonumber(r or 0)
  h.over = tonumber(ends) * 1000 <= now
  if not f[1] then
    h.ends = ends
  end
  return h
end

-- Sets a net count; false where a double could no longer hold it.
local function set_net(app, counter, net)
  if math.abs(net) >= COUNT_END then
    return false
  end
  app.net[counter] = net
  note(app, 'u' .. counter, str(net))
  return true
end

local function set_gain(gain, net)
  if not gain.over then
    gain.net = net
    note(gain, 'u', str(net))
  end
end

-- Moves every counter of a record by `amount`, and what is held of groups by `held`.
local function move(app, gain, counters, amount, held)
  for digit in string.gmatch(counters, '%d') do
    local counter = tonumber(digit)
    if counter == 3 then
      set_gain(gain, gain.net + amount)
    elseif not set_net(app, counter, app.net[counter] + amount) then
      return false
    elseif counter == 1 then
      app.held = app.held + held
      note(app, 'h1', str(app.held))
    end
  end
  return true
end

local function too_large(app)
  return redis.error_reply('TOOLARGE a count of ' .. app.key .. ' would reach 2^53')
end

-- Appends the view: four net counts, then this member's consumed and released for each.
local function show(answer, app, gain)
  local n = #answer
  for counter = 0, 2 do
    answer[n + 1 + counter] = app.net[counter]
    answer[n + 5 + 2 * counter] = app.consumed[counter]
    answer[n + 6 + 2 * counter] = app.released[counter]
  end
  answer[n + 4] = gain.net
  answer[n + 11], answer[n + 12] = gain.consumed, gain.released
  return answer
end
