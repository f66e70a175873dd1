-- Makes a member's process known and says who the ledger is.
--
-- KEYS[1]  the meta key: inst, user_key, zone, shards, format, state (creating, ready), and what `beat`
--          says
-- KEYS[2]  the members: INCARNATION: 'boot nonce time name', and what `beat` says
-- ARGV[1]  the id that the member remembers, or ''
-- ARGV[2]  an id and ARGV[3] a key for a new installation, or '' if none may be made
-- ARGV[4]  the billing zone of a new installation, ARGV[5] the number of shards, ARGV[6] the format
-- ARGV[7]  the member's incarnation, ARGV[8] its boot number, ARGV[9] its name
-- ARGV[10] the run, ARGV[11] the nonce of the member's process, whose first 16 digits are its machine's
-- ARGV[12] a lease's time, in ms
--
-- A member is one process at a time. A newer boot takes over, and fences the older one. The boot
-- number lies in the data folder: two processes that have the same one run on copies of it, and the
-- nonce, which each draws when it starts, tells them apart. The first one stays.
--
-- An older process may go on for as long as its last lease, and has the same units to spend. On one machine the
-- lock of the data folder proves that it is dead; else the newer one has no lease before the older one's must have
-- ended.
--
-- A ledger that is not there is made here for newcomers alone. For one who remembers it, it has forgotten:
-- a beat makes its meta key again.
--
-- Answers: what was found, time in ms, id, user_key, zone, shards, format, run, epoch, open, inc,
-- boot number that is known.

local MACHINE = 16
local READY, CREATING, ABSENT, FENCED, COPIED = 0, 1, 2, 3, 4

local time = redis.call('TIME')
local now = string.format('%.0f', tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000))

local function answer(found, known)
  local m = redis.call('HMGET', KEYS[1], 'inst', 'user_key', 'zone', 'shards', 'format', 'run', 'epoch', 'open',
    'inc')
  local a = {found, tonumber(now)}
  for i = 1, 9 do
    a[2 + i] = m[i] or ''
  end
  a[12] = known or ''
  return a
end

local known = redis.call('HGET', KEYS[2], ARGV[7])
local boot, nonce, beaten
if known then
  boot, nonce, beaten = string.match(known, '^(%d+) (%x+) (%d+) ')
end

local inst = redis.call('HGET', KEYS[1], 'inst')
if not inst then
  if ARGV[1] ~= '' or ARGV[2] == '' then
    return answer(ABSENT)
  end
  redis.call('HSET', KEYS[1], 'inst', ARGV[2], 'user_key', ARGV[3], 'zone', ARGV[4],
    'shards', ARGV[5], 'format', ARGV[6], 'run', ARGV[10], 'state', 'creating', 'epoch', now, 'open', '0',
    'inc', '0')
else
  -- Whoever cannot work with it leaves no trace in it.
  local m = redis.call('HMGET', KEYS[1], 'shards', 'format')
  if ARGV[1] ~= '' and ARGV[1] ~= inst or m[1] ~= ARGV[5] or m[2] ~= ARGV[6] then
    return answer(READY)
  end
end

if boot and tonumber(boot) > tonumber(ARGV[8]) then
  return answer(FENCED, boot)
end
if boot and tonumber(boot) == tonumber(ARGV[8]) and nonce ~= ARGV[11] then
  return answer(COPIED, boot)
end
if nonce and string.sub(nonce, 1, MACHINE) ~= string.sub(ARGV[11], 1, MACHINE) then
  local ends = tonumber(beaten) + tonumber(ARGV[12])
  if ends > tonumber(now) then
    redis.call('HSET', KEYS[2], 'o:' .. ARGV[7], string.format('%.0f', ends))
  end
end
redis.call('HSET', KEYS[2], ARGV[7], ARGV[8] .. ' ' .. ARGV[11] .. ' ' .. now .. ' ' .. ARGV[9])

return answer(redis.call('HGET', KEYS[1], 'state') == 'creating' and CREATING or READY)
