-- The beginning of every step on a shard: is this still the ledger that the caller knows, and in the
-- same epoch?
--
-- KEYS[1]  the shard's header: inst (the installation's id), epoch (of the last recovery that was
--          heard of), open (1 while members restate), inc (the epoch since which apps wait for a recount;
--          0: for none does one), seq (its writes), c:INC (the steps of member INC that changed
--          something; gone when it is), x:INC (when INC was folded or marked gone, in ms), bv (the highest version of a base)
-- ARGV[1]  the installation's id
-- ARGV[2]  the caller's epoch
-- ARGV[3]  '-' if its recovery is open as far as the caller knows; else what inc must be
-- ARGV[4]  the highest seq that the caller has seen in that epoch
-- ARGV[5]  the member's incarnation
--
-- Every answer begins with status, epoch, seq and the server's time in ms. Any status but FINE means
-- that nothing was done.
--
-- Scripts do not roll back: a step reads and judges first, notes its writes with put(), and seal()
-- writes them all at the end, with one more seq.

local FINE, MISSING, OTHER, BEHIND, OPEN, LOST, GONE = 0, 1, 2, 3, 4, 5, 6

-- Lua counts in doubles, which are exact below 2^53.
local COUNT_END = 9007199254740992

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)

local member = ARGV[5]
-- The shard's other keys begin like its header's.
local base = string.sub(KEYS[1], 1, -2)
local epoch, seq, calls = 0, 0, 0
-- Whether members restate; since which epoch apps wait for a recount; whether the caller is gone.
local is_open, waiting_since, is_gone = false, 0, false
local writes = {}
local header = {'HSET', KEYS[1]}
-- What a double could no longer hold, if a count came to that.
local overflow

local function put(...)
  writes[#writes + 1] = {...}
end

-- Notes a command with a list that may be long.
local function put_all(command)
  writes[#writes + 1] = command
end

-- The most words of a command: a call of thousands is refused. Even, so that pairs stay together.
local WORDS_MAX = 2000

-- Calls a command on a key with a list behind it, in pieces where it is long.
local function call_all(command)
  if #command <= WORDS_MAX + 2 then
    return redis.call(unpack(command))
  end
  for i = 3, #command, WORDS_MAX do
    redis.call(command[1], command[2], unpack(command, i, math.min(i + WORDS_MAX - 1, #command)))
  end
end

-- A stored number; what is not there is 0.
local function num(text)
  return tonumber(text or 0)
end

-- A number to store. tostring() would lose digits.
local function str(number)
  return string.format('%.0f', number)
end

local function head(field, value)
  header[#header + 1] = field
  header[#header + 1] = value
end

-- Writes what was noted and completes the answer. The header goes first: a server that refuses
-- writes refuses the first one, before anything has changed.
local function seal(answer)
  if overflow then
    return redis.error_reply('TOOLARGE a count of ' .. overflow .. ' would reach 2^53')
  end
  if #writes > 0 or header[3] then
    seq = seq + 1
    head('seq', str(seq))
    if not is_gone then
      head('c:' .. member, str(calls + 1))
    end
    call_all(header)
    for i = 1, #writes do
      call_all(writes[i])
    end
  end
  answer[2], answer[3] = epoch, seq
  return answer
end

-- A newer epoch is adopted as open. Who knows that it has closed closes it here; who knows that
-- nothing is missing any more says so.
local function adopt(said, stance)
  if said > epoch then
    epoch, is_open = said, true
    head('epoch', str(epoch))
    head('open', '1')
  end
  if stance == '-' then
    return
  end
  -- What is stated after the end is stated to a shard that has ended.
  local since = num(stance)
  if is_open or since == 0 and waiting_since ~= 0 then
    is_open, waiting_since = false, since
    head('open', '0')
    head('inc', stance)
  end
end

-- What a step may be done under: while members restate, by one who is gone, and without a header, which only
-- an open recovery makes again.
local COUNTING = {}
local FOLDING = {gone = true}
local ALWAYS = {open = true, gone = true}
local RESTATING = {open = true, gone = true, make = true}

-- Returns the answer that refuses the step, or nil.
local function refused(may)
  local h = redis.call('HMGET', KEYS[1], 'inst', 'epoch', 'seq', 'open', 'inc', 'c:' .. member,
    'x:' .. member)
  if not h[1] then
    if not may.make or ARGV[3] ~= '-' then
      return {MISSING, 0, 0, now}
    end
    head('inst', ARGV[1])
  elseif h[1] ~= ARGV[1] then
    return {OTHER, 0, 0, now}
  end
  epoch, seq, calls = num(h[2]), num(h[3]), num(h[6])
  is_open, waiting_since, is_gone = h[4] == '1', num(h[5]), h[7]
  local said, seen = num(ARGV[2]), num(ARGV[4])
  if said < epoch then
    return {BEHIND, epoch, seq, now}
  end
  if seen > seq or seen > 0 and said > epoch then
    return {LOST, epoch, seq, now}
  end
  adopt(said, ARGV[3])
  if is_gone and not may.gone then
    return seal({GONE, 0, 0, now})
  end
  if is_open and not may.open then
    return seal({OPEN, 0, 0, now})
  end
end
