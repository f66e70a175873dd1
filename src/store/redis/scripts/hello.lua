-- Makes a member known and says who the ledger is.
--
-- KEYS[1]  the meta key: inst, user_key, zone, shards, format, state (creating, ready, lost), run,
--          lost (why)
-- KEYS[2]  the members: INCARNATION: 'boot nonce time name'
-- ARGV[1]  the id that the member remembers, or ''
-- ARGV[2]  the user hash's key that it remembers, or ''
-- ARGV[3]  an id and ARGV[4] a key for a new installation, or '' if none may be made
-- ARGV[5]  the billing zone, ARGV[6] the number of shards, ARGV[7] the format
-- ARGV[8]  the member's incarnation, ARGV[9] its boot number, ARGV[10] its name
-- ARGV[11] the run, ARGV[12] the nonce of the member's process
--
-- A member is one process at a time. A newer boot takes over, and fences the older one. The boot
-- number lies in the data folder: two processes that have the same one run on copies of it, and the
-- nonce, which each draws when it starts, tells them apart. The first one stays.
--
-- Answers: what was found, time in ms, id, user_key, zone, shards, format, run, why it is lost,
-- boot number that is known.

local READY, CREATING, LOST, ABSENT, FENCED, COPIED = 0, 1, 2, 3, 4, 5

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)

local function answer(found, known)
  local m = redis.call('HMGET', KEYS[1], 'inst', 'user_key', 'zone', 'shards', 'format', 'run', 'lost')
  local a = {found, now}
  for i = 1, 7 do
    a[2 + i] = m[i] or ''
  end
  a[10] = known or ''
  return a
end

local known = redis.call('HGET', KEYS[2], ARGV[8])
local boot, nonce
if known then
  boot, nonce = string.match(known, '^(%d+) (%x+) ')
end

local inst = redis.call('HGET', KEYS[1], 'inst')
if not inst then
  if ARGV[1] ~= '' then
    -- It was there once: whoever comes next must not take it for an empty ledger.
    redis.call('HSET', KEYS[1], 'inst', ARGV[1], 'user_key', ARGV[2], 'zone', ARGV[5],
      'shards', ARGV[6], 'format', ARGV[7], 'run', ARGV[11], 'state', 'lost',
      'lost', 'its keys were gone')
  elseif ARGV[3] == '' then
    return answer(ABSENT)
  else
    redis.call('HSET', KEYS[1], 'inst', ARGV[3], 'user_key', ARGV[4], 'zone', ARGV[5],
      'shards', ARGV[6], 'format', ARGV[7], 'run', ARGV[11], 'state', 'creating')
  end
else
  -- Whoever cannot work with it leaves no trace in it.
  local m = redis.call('HMGET', KEYS[1], 'zone', 'shards', 'format')
  if ARGV[1] ~= '' and ARGV[1] ~= inst
    or m[1] ~= ARGV[5] or m[2] ~= ARGV[6] or m[3] ~= ARGV[7] then
    return answer(READY)
  end
end

if boot and tonumber(boot) > tonumber(ARGV[9]) then
  return answer(FENCED, boot)
end
if boot and tonumber(boot) == tonumber(ARGV[9]) and nonce ~= ARGV[12] then
  return answer(COPIED, boot)
end
redis.call('HSET', KEYS[2], ARGV[8],
  ARGV[9] .. ' ' .. ARGV[12] .. ' ' .. string.format('%.0f', now) .. ' ' .. ARGV[10])

local state = redis.call('HGET', KEYS[1], 'state')
if state == 'ready' then
  return answer(READY)
end
return answer(state == 'creating' and CREATING or LOST)
