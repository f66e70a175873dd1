-- The beginning of every step on a shard: is this still the ledger that the caller knows?
--
-- KEYS[1]  the shard's header: inst (the installation's id), seq (its writes), run (the run of Redis
--          under which it was last opened), reopened (when, in ms), epoch (a number for that opening),
--          base (its seq then), lost (what it has forgotten)
-- ARGV[1]  the installation's id
-- ARGV[2]  the highest epoch that the caller has seen of this shard
-- ARGV[3]  the highest seq that it has seen in that epoch
-- ARGV[4]  the run under which the caller is connected
-- ARGV[5]  for how many ms takes wait after the shard was opened under another run
--
-- Every answer begins with status, epoch, seq and the server's time in ms. Any status but FINE means
-- that nothing was counted; what follows it then is a word of detail.
--
-- Scripts do not roll back: a step reads and judges first, notes its writes with put(), and seal()
-- writes them all at the end, with one more seq.

local FINE, MISSING, OTHER, LOST, WAIT = 0, 1, 2, 3, 4

-- Lua counts in doubles, which are exact below 2^53.
local COUNT_END = 9007199254740992

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)

local epoch, seq = 0, 0
local writes = {}

local function put(...)
  writes[#writes + 1] = {...}
end

-- A stored number; what is not there is 0.
local function num(text)
  return tonumber(text or 0)
end

-- A number to store. tostring() would lose digits.
local function str(number)
  return string.format('%.0f', number)
end

-- Writes what was noted and completes the answer. The header goes first: a server that refuses
-- writes refuses the first one, before anything has changed.
local function seal(answer)
  if #writes > 0 then
    seq = seq + 1
    redis.call('HSET', KEYS[1], 'seq', str(seq))
    for i = 1, #writes do
      redis.call(unpack(writes[i]))
    end
  end
  answer[2], answer[3] = epoch, seq
  return answer
end

-- The run that the server itself knows: a caller's may be older than its connection.
local function true_run()
  local id = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
  local replid = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
  return (id or '') .. ':' .. (replid or '')
end

-- Whether the caller knows of a write that is not here. What it saw in this epoch is compared with
-- what there is; what it saw in an earlier one with what there was when this one began, since writes
-- of this one say nothing of those that were lost before it. An epoch is a time, not a count: a
-- ledger that was put back would count to the same number again.
local function missing_write(base)
  local seen_epoch, seen_seq = num(ARGV[2]), num(ARGV[3])
  local have = seq
  if seen_epoch < epoch then
    have = base and num(base) or COUNT_END
  end
  if seen_epoch > epoch or seen_seq > have then
    return 'write ' .. ARGV[3] .. ' of epoch ' .. ARGV[2] .. ' was acknowledged, there was '
      .. str(have) .. ' at epoch ' .. str(epoch)
  end
end

-- Returns the answer that refuses the step, or nil; then why the shard is lost, or nil. `strict` is for
-- takes and releases, which wait where the shard may have forgotten or has; totals and users merge by
-- maximum, so that they may go on.
local function refused(strict)
  local h = redis.call('HMGET', KEYS[1], 'inst', 'epoch', 'seq', 'run', 'base', 'reopened', 'lost')
  if not h[1] then
    return {MISSING, 0, 0, now, ''}
  end
  if h[1] ~= ARGV[1] then
    return {OTHER, 0, 0, now, h[1]}
  end
  epoch, seq = num(h[2]), num(h[3])
  local base, reopened, lost = h[5], num(h[6]), h[7] or nil
  if h[4] ~= ARGV[4] then
    local run = true_run()
    if run ~= h[4] then
      epoch, base, reopened = math.max(epoch + 1, now), str(seq), now
      put('HSET', KEYS[1], 'run', run, 'epoch', str(epoch), 'base', base, 'reopened', str(now))
    end
  end
  if reopened > now then
    -- The server's clock was set back: the wait begins anew instead of lasting as long as that.
    reopened = now
    put('HSET', KEYS[1], 'reopened', str(reopened))
  end
  if not lost then
    lost = missing_write(base)
    if lost then
      put('HSET', KEYS[1], 'lost', lost)
    end
  end
  if strict and lost then
    return seal({LOST, epoch, seq, now, lost})
  end
  if strict and now < reopened + num(ARGV[5]) then
    return seal({WAIT, epoch, seq, now, str(reopened + num(ARGV[5]) - now)})
  end
  return nil, lost
end
