-- The meta key and the members: what the steps that change them share.
--
-- KEYS[1]  the meta key: inst, user_key, zone, shards, format, state; run (of Redis, as last looked at), epoch,
--          open (1 while members restate), inc (the epoch since which apps wait for a recount, 0: none
--          does), opened (ms); anew (1: nobody knew the members when the key was made again), rollstated (1:
--          one who did has said so since), stated (the version of the newest stated roll), newsmax and
--          newsgot (the newest news that anybody heard of, and that the ledger or one who restated has the bases
--          of), maimed
--          (1: what is missing will not come); rollv and roll (the roll and its version), rollold (1: it is to be
--          written before it is told), news (the number of
--          the newest change of bases); scan (when all members were last looked at, ms); count (of those
--          present); w1, w2 ('INC version': the two who have the newest rolls), b1, b2 (the same for news)
-- KEYS[2]  the members: INC 'boot nonce time name'; k:INC, of those present, 'version ms epoch seen witnessed
--          restated news': the roll's version and the time of its joining, the version it has in its journal
--          and of which epoch, whether another has it in its own, the epoch it has restated, its news;
--          n:INC calls + 1 of one that is silent; f:INC 'calls epoch', as the shards have them in a recovery;
--          d:INC the recovery in which an operator gave INC up: it is not waited for any more in that one;
--          g:INC 'ms news' of one that is gone; o:INC until when a process on another machine, from which this one
--          took over, may have a lease (ms)

-- For how long it is remembered who is gone: late calls come within minutes.
local GONE_KEPT_MS = 30 * 24 * 3600 * 1000

local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)

local function num(text)
  return tonumber(text or nil) or 0
end

local function str(number)
  return string.format('%.0f', number)
end

local FIELDS = {'inst', 'run', 'epoch', 'open', 'inc', 'opened', 'anew', 'rollstated', 'stated', 'newsmax', 'newsgot',
  'maimed', 'rollv', 'rollold', 'news', 'scan', 'count', 'w1', 'w2', 'b1', 'b2', 'zone', 'shards', 'format'}

local function read_meta()
  local f = redis.call('HMGET', KEYS[1], unpack(FIELDS))
  local meta = {changed = {}}
  for i = 1, #FIELDS do
    meta[FIELDS[i]] = f[i] or ''
  end
  for _, name in ipairs({'epoch', 'open', 'inc', 'opened', 'anew', 'rollstated', 'stated', 'newsmax', 'newsgot',
    'maimed', 'rollv', 'rollold', 'news', 'scan', 'count'}) do
    meta[name] = num(meta[name])
  end
  return meta
end

local function change(meta, name, value)
  meta[name] = value
  meta.changed[name] = true
end

local function save_meta(meta)
  local write = {'HSET', KEYS[1]}
  for i = 1, #FIELDS do
    local name = FIELDS[i]
    if meta.changed[name] then
      write[#write + 1] = name
      write[#write + 1] = type(meta[name]) == 'number' and str(meta[name]) or meta[name]
    end
  end
  if write[3] then
    redis.call(unpack(write))
  end
end

local function parse_presence(raw)
  if not raw then
    return nil
  end
  local p = {}
  p.version, p.ms, p.epoch, p.seen, p.witnessed, p.restated, p.news =
    string.match(raw, '^(%d+) (%d+) (%d+) (%d+) (%d) (%d+) (%d+)$')
  if not p.version then
    error({err = 'DAMAGED a member reads "' .. raw .. '"'})
  end
  for name, value in pairs(p) do
    p[name] = tonumber(value)
  end
  return p
end

local function pack_presence(p)
  return string.format('%.0f %.0f %.0f %.0f %.0f %.0f %.0f', p.version, p.ms, p.epoch, p.seen, p.witnessed, p.restated,
    p.news)
end

-- Who joins, or comes back from silence, is a change of the roll; a fellow must know of it first.
local function join(meta, p)
  change(meta, 'rollv', meta.rollv + 1)
  p.version, p.ms, p.witnessed = meta.rollv, now, 0
end

-- `line`: how the roll has it; nil where the whole roll is to be written.
local function newcomer(meta, line)
  local p = {version = 0, ms = 0, epoch = 0, seen = 0, witnessed = 0, restated = 0, news = 0}
  join(meta, p)
  meta.roll_line, meta.roll_changed = line, meta.roll_changed or not line
  -- Nobody waits for a statement of one that joins when all is told.
  if meta.open == 0 then
    p.restated = meta.epoch
  end
  change(meta, 'count', meta.count + 1)
  return p
end

-- The members as they stood when this step first looked, and as it has changed them since: by letter, then by incarnation.
local looked_at

-- All that is known of members: k, n, f, d, g, o by incarnation, and `row`. There are hundreds, and the server does nothing
-- else meanwhile: they are read once a step, and no table is made for each.
local function everybody()
  if looked_at then
    return looked_at
  end
  local all = redis.call('HGETALL', KEYS[2])
  local row = {}
  local of = {k = {}, n = {}, f = {}, d = {}, g = {}, o = {}, row = row}
  for i = 1, #all, 2 do
    local field = all[i]
    if string.byte(field, 2) == 58 then
      local letter = of[string.sub(field, 1, 1)]
      if letter then
        letter[string.sub(field, 3)] = all[i + 1]
      end
    else
      row[field] = all[i + 1]
    end
  end
  looked_at = of
  return of
end

-- Writes what is known of a member: all under one letter, or its row.
local function put(letter, inc, value)
  redis.call('HSET', KEYS[2], letter == 'row' and inc or letter .. ':' .. inc, value)
  if looked_at then
    looked_at[letter][inc] = value
  end
end

-- Writes many fields of members at once: pairs, each with its letter.
local PAIRS_MAX = 1000

local function put_many(fields)
  for i = 1, #fields, 2 * PAIRS_MAX do
    redis.call('HSET', KEYS[2], unpack(fields, i, math.min(i + 2 * PAIRS_MAX - 1, #fields)))
  end
end

local function drop(inc, letters)
  local command = {'HDEL', KEYS[2]}
  for i = 1, #letters do
    local letter = string.sub(letters, i, i)
    command[2 + i] = letter .. ':' .. inc
    if looked_at then
      looked_at[letter][inc] = nil
    end
  end
  return redis.call(unpack(command))
end

-- Forgets who was silent, and for whom nobody waits.
local function drop_silence(of)
  for inc in pairs(of.n) do
    drop(inc, 'nf')
  end
  for inc in pairs(of.f) do
    drop(inc, 'nf')
  end
  for inc in pairs(of.d) do
    drop(inc, 'd')
  end
end

local function name_of(row)
  return row and string.match(row, '^%d+ %x+ %d+ (.*)$') or ''
end

local function beaten_at(row)
  return row and num(string.match(row, '^%d+ %x+ (%d+) ')) or 0
end

-- Writes the roll down, as members are told it: lines of 'p INC name', 'g INC' and 's INC calls'.
local function write_roll(of)
  local lines = {}
  for inc in pairs(of.k) do
    lines[#lines + 1] = 'p ' .. inc .. ' ' .. name_of(of.row[inc])
    if of.n[inc] then
      lines[#lines + 1] = 's ' .. inc .. ' ' .. str(num(of.n[inc]) - 1)
    end
  end
  for inc, g in pairs(of.g) do
    if of.k[inc] then
      -- It is present as far as the ledger knows.
    elseif num(string.match(g, '^%d+')) + GONE_KEPT_MS > now then
      lines[#lines + 1] = 'g ' .. inc
    else
      redis.call('HDEL', KEYS[2], 'g:' .. inc, 'o:' .. inc, inc)
    end
  end
  table.sort(lines)
  redis.call('HSET', KEYS[1], 'roll', table.concat(lines, '\n'))
end

-- A newcomer's line is added to what stands there: hundreds may come at once, and each would have all of them read. While
-- members restate nobody is told the roll, and it is written by the first step after the one that finds that they have: that one
-- has enough to do.
local function finish_roll(meta)
  if meta.open == 1 or meta.roll_later then
    if meta.rollold == 0 then
      change(meta, 'rollold', 1)
    end
  elseif meta.roll_changed or meta.rollold == 1 then
    change(meta, 'rollold', 0)
    write_roll(everybody())
  elseif meta.roll_line then
    local roll = redis.call('HGET', KEYS[1], 'roll') or ''
    redis.call('HSET', KEYS[1], 'roll', roll == '' and meta.roll_line or roll .. '\n' .. meta.roll_line)
  end
  save_meta(meta)
end

-- Marks a member gone, with the news of the bases that contain it.
local function mark_gone(meta, inc)
  local p = redis.call('HGET', KEYS[2], 'k:' .. inc)
  change(meta, 'news', meta.news + 1)
  put('g', inc, str(now) .. ' ' .. str(meta.news))
  drop(inc, 'knfd')
  if p then
    change(meta, 'count', math.max(0, meta.count - 1))
  end
  change(meta, 'rollv', meta.rollv + 1)
  meta.roll_changed = true
  -- Who has what is told anew by each one's next beat.
  for _, name in ipairs({'w1', 'w2', 'b1', 'b2'}) do
    change(meta, name, '')
  end
end
