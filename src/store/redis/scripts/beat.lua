-- A member's sign of life: registers it, renews its lease, and opens and closes recoveries.
--
-- KEYS[3]  the notices: APP 'token until' of what a recount has frozen
-- KEYS[4]  the recalls: apps by when somebody last starved
-- ARGV[1]  the run; ARGV[2] the installation's id, ARGV[3] its user key, ARGV[4] the billing zone, ARGV[5] the
--          number of shards, ARGV[6] the format
-- ARGV[7]  the member's incarnation, ARGV[8] its 'boot nonce', ARGV[9] its name
-- ARGV[10] the highest epoch that it knows, ARGV[11] the epoch that its last beat was answered in:
--          of that one is the roll in its journal, or it says that it has none
-- ARGV[12] the epoch in which it found something missing
-- ARGV[13] the epoch that it has restated, ARGV[14] the version of the roll in its journal, ARGV[15] its news
-- ARGV[16] 1 if it leaves, ARGV[17] 1 if its journal never knew a roll
-- ARGV[18] a lease's time, ARGV[19] how long to wait for a witness (0: for ever), ARGV[20] how long for members that do
--          not restate, ARGV[21] after how long one is silent; all in ms
-- ARGV[22] 1 if a roll is stated: then its version, its news, and three times a number and so many: present
--          (incarnation, name), gone (incarnation), silent (incarnation, calls)
--
-- Answers: status, time in ms, epoch, open, inc, run, 1 if it has a lease, 1 if it is gone, 1 if it joined by this,
-- news, the newest news that another has, the roll's version, the roll or '', then four times a number and so
-- many: notices (app, token), recalls (app), members to be noted as silent, and silent members whose calls are
-- asked for.

local FINE, ABSENT, OTHER, FENCED, COPIED = 0, 1, 2, 3, 4
-- How often all members are looked at: while something waits for them, and else.
local WAITING_SCAN_MS, SCAN_MS = 200, 5000
local RECALL_MS = 3000
-- The most of each list in one answer; the others come with a later one. Notices are all told: whoever had a
-- lease and did not hear of a freeze would spend after its token is out. `notice` bounds them.
local LIST_MAX, TASKS_MAX = 64, 8

local me, process, name = ARGV[7], ARGV[8], ARGV[9]
local known_epoch, told_epoch, doubted = num(ARGV[10]), num(ARGV[11]), num(ARGV[12])
local restated, seen, news = num(ARGV[13]), num(ARGV[14]), num(ARGV[15])
local leaving, fresh = ARGV[16] == '1', ARGV[17] == '1'
local ttl, witness_wait, patience, silence = num(ARGV[18]), num(ARGV[19]), num(ARGV[20]), num(ARGV[21])

local function true_run()
  -- Of a Cluster one server's word is not enough: the caller has just asked all of them.
  if string.sub(ARGV[1], 1, 8) == 'cluster:' then
    return ARGV[1]
  end
  local id = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
  local replid = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
  return (id or '') .. ':' .. (replid or '')
end

local meta = read_meta()

-- The number is never used twice, whatever was forgotten. `got`: up to which news all bases are here for certain.
local function open(run, got)
  change(meta, 'epoch', math.max(known_epoch, now, meta.epoch + 1))
  change(meta, 'open', 1)
  change(meta, 'run', run)
  change(meta, 'opened', now)
  change(meta, 'rollstated', 0)
  change(meta, 'stated', 0)
  change(meta, 'newsmax', meta.news)
  change(meta, 'newsgot', got)
  change(meta, 'scan', now)
  for _, top in ipairs({'w1', 'w2', 'b1', 'b2'}) do
    change(meta, top, '')
  end
  -- Who was silent is for the newest stated roll to say.
  drop_silence(everybody())
  redis.call('DEL', KEYS[3])
end

local is_missing = meta.inst == ''
if is_missing then
  if fresh or leaving then
    return {ABSENT, now}
  end
elseif meta.inst ~= ARGV[2] or meta.shards ~= ARGV[5] or meta.format ~= ARGV[6] then
  return {OTHER, now}
end

-- A member is one process at a time: see `hello`.
local row = redis.call('HGET', KEYS[2], me)
if row then
  local boot, nonce = string.match(row, '^(%d+) (%x+) ')
  local my_boot, my_nonce = string.match(process, '^(%d+) (%x+)$')
  if num(boot) > num(my_boot) then
    return {FENCED, now}
  end
  if num(boot) == num(my_boot) and nonce ~= my_nonce and num(boot) > 0 then
    return {COPIED, now}
  end
end

-- All is judged that can refuse a beat. A full server refuses this write, and nothing has changed.
if is_missing then
  redis.call('HSET', KEYS[1], 'inst', ARGV[2], 'user_key', ARGV[3], 'zone', ARGV[4], 'shards', ARGV[5],
    'format', ARGV[6], 'state', 'ready')
  change(meta, 'anew', 1)
  open(true_run(), 0)
else
  redis.call('HSET', KEYS[1], 'inst', ARGV[2])
end

if meta.run ~= ARGV[1] then
  local run = true_run()
  if run ~= meta.run then
    -- Another run has all that was written up to some moment: with the number of the news the bases before it.
    open(run, meta.open == 1 and meta.newsgot or meta.news)
  end
end
if known_epoch > meta.epoch or doubted == meta.epoch then
  open(meta.run, 0)
end

-- Of two numbers of members the higher ones are kept, so that each knows what the best of the others has.
local function rank(first, second, value)
  local a, av = string.match(meta[first], '^(%x+) (%d+)$')
  local b, bv = string.match(meta[second], '^(%x+) (%d+)$')
  local mine = me .. ' ' .. str(value)
  if a == me then
    if value > num(av) then
      change(meta, first, mine)
    end
  elseif value > num(av) or not a then
    if a then
      change(meta, second, meta[first])
    end
    change(meta, first, mine)
  elseif (b == me or not b or value > num(bv)) and meta[second] ~= mine then
    change(meta, second, mine)
  end
end

local function best_of_others(first, second)
  local a, av = string.match(meta[first], '^(%x+) (%d+)$')
  if a and a ~= me then
    return num(av)
  end
  return num(string.match(meta[second], ' (%d+)$'))
end

-- Whoever finds that all is told hears of it by the next beat, as the others do: the roll is written by then.
local function is_open()
  return meta.open == 1 or meta.roll_later
end

local function answer(leased, gone, joined)
  local a = {FINE, now, meta.epoch, is_open() and 1 or 0, meta.inc, meta.run, leased and 1 or 0, gone and 1 or 0,
    joined and 1 or 0, meta.news, best_of_others('b1', 'b2'), meta.rollv, ''}
  -- While members restate the ledger's own roll may be a snapshot's.
  if not is_open() and (told_epoch ~= meta.epoch or seen < meta.rollv) then
    a[13] = redis.call('HGET', KEYS[1], 'roll') or ''
  end
  local function list_of(items)
    a[#a + 1] = 0
    local at = #a
    for i = 1, #items do
      a[#a + 1] = items[i]
    end
    return at
  end
  -- By their ids: a hash has no order of its own.
  local apps, frozen = redis.call('HKEYS', KEYS[3]), {}
  table.sort(apps)
  for _, id in ipairs(apps) do
    local token, ends = string.match(redis.call('HGET', KEYS[3], id), '^(%d+) (%d+)$')
    if num(ends) <= now then
      redis.call('HDEL', KEYS[3], id)
    else
      frozen[#frozen + 1] = id
      frozen[#frozen + 1] = token
    end
  end
  a[list_of(frozen)] = #frozen / 2
  local recalls, starving = redis.call('ZRANGEBYSCORE', KEYS[4], str(now - RECALL_MS), '+inf'), {}
  for i = math.max(1, #recalls - LIST_MAX + 1), #recalls do
    starving[#starving + 1] = recalls[i]
  end
  a[list_of(starving)] = #starving
  a[list_of(meta.silent or {})] = #(meta.silent or {})
  a[list_of(meta.asked or {})] = #(meta.asked or {})
  a[#a + 1] = is_missing and ARGV[4] or meta.zone
  return a
end

if redis.call('HGET', KEYS[2], 'g:' .. me) then
  finish_roll(meta)
  return answer(false, true, false)
end

local mine = parse_presence(redis.call('HGET', KEYS[2], 'k:' .. me))
local joined = false
if not mine then
  mine, joined = newcomer(meta, 'p ' .. me .. ' ' .. name), true
elseif meta.open == 0 and drop(me, 'n') == 1 then
  join(meta, mine)
  meta.roll_changed = true
  joined = true
end
if told_epoch == meta.epoch then
  if mine.epoch ~= meta.epoch or seen > mine.seen then
    mine.epoch, mine.seen = meta.epoch, seen
  end
  rank('w1', 'w2', mine.seen)
end
mine.news = math.max(mine.news, news)
rank('b1', 'b2', mine.news)
mine.restated = math.max(mine.restated, restated)

put('row', me, process .. ' ' .. str(now) .. ' ' .. name)

-- What the member stated that it knows of others. The newest roll says who was silent.
local function state_roll()
  local at = 23
  local function next_word()
    at = at + 1
    return ARGV[at - 1]
  end
  local version, its_news = num(next_word()), num(next_word())
  change(meta, 'newsmax', math.max(meta.newsmax, its_news))
  change(meta, 'rollv', math.max(meta.rollv, version))
  local of, fields = everybody(), {}
  for _ = 1, num(next_word()) do
    local inc, its_name = next_word(), next_word()
    if not of.k[inc] and not of.g[inc] and inc ~= me then
      local p = newcomer(meta)
      -- Nobody has heard it restate, also if the recovery has closed by now.
      p.restated = 0
      of.k[inc] = pack_presence(p)
      fields[#fields + 1], fields[#fields + 2] = 'k:' .. inc, of.k[inc]
      if not of.row[inc] then
        of.row[inc] = '0 0 0 ' .. its_name
        fields[#fields + 1], fields[#fields + 2] = inc, of.row[inc]
      end
    end
  end
  put_many(fields)
  for _ = 1, num(next_word()) do
    local inc = next_word()
    if not of.g[inc] then
      put('g', inc, str(now) .. ' 0')
      if of.k[inc] then
        change(meta, 'count', math.max(0, meta.count - 1))
      end
      drop(inc, 'k')
    end
  end
  if meta.open == 1 and version > meta.stated then
    change(meta, 'stated', version)
    for inc in pairs(of.n) do
      drop(inc, 'nf')
    end
    for inc in pairs(of.f) do
      drop(inc, 'nf')
    end
    for _ = 1, num(next_word()) do
      local inc, calls = next_word(), num(next_word())
      put('n', inc, str(calls + 1))
    end
  end
end

if restated == meta.epoch and restated ~= 0 and (meta.open == 1 or meta.inc == meta.epoch) then
  change(meta, 'newsgot', math.max(meta.newsgot, news))
  if not fresh and not leaving then
    change(meta, 'rollstated', 1)
  end
  if ARGV[22] == '1' then
    state_roll()
  end
end
put('k', me, pack_presence(mine))

-- Whether a silent member has lost nothing: the shards have every call that was noted.
local function is_excused(of, inc)
  local n, f = of.n[inc], of.f[inc]
  if not n or not f then
    return false
  end
  local calls, counted_in = string.match(f, '^(%d+) (%d+)$')
  return num(counted_in) == meta.epoch and num(calls) == num(n) - 1
end

-- A new life for everybody: the roll gets a version above all that were stated, and witnesses anew.
local function close(of, missing)
  -- Nobody has told who else there was, nor will whoever could.
  local is_unknown = meta.anew == 1 and meta.rollstated == 0
  if is_unknown or meta.newsmax > meta.newsgot then
    change(meta, 'maimed', 1)
    change(meta, 'inc', meta.epoch)
  elseif missing then
    change(meta, 'inc', meta.epoch)
  elseif meta.maimed == 0 then
    change(meta, 'inc', 0)
  end
  change(meta, 'open', 0)
  change(meta, 'anew', 0)
  change(meta, 'news', math.max(meta.news, meta.newsmax))
  change(meta, 'rollv', meta.rollv + 1)
  meta.roll_later = true
  local count, life = 0, str(meta.rollv) .. ' ' .. str(now) .. ' '
  local fields, witnessed = {}, ' 1 ' .. str(meta.epoch) .. ' '
  for inc, k in pairs(of.k) do
    if is_excused(of, inc) then
      local p = parse_presence(k)
      p.restated = meta.epoch
      k = pack_presence(p)
    end
    -- Its version, its time and whether it is witnessed are others from now on; most have restated.
    local from = string.find(k, ' ', string.find(k, ' ', 1, true) + 1, true)
    local at = string.find(k, witnessed, from, true)
    if at then
      k = life .. string.sub(k, from + 1, at) .. '0' .. string.sub(k, at + 2)
    else
      k = life .. string.gsub(string.sub(k, from + 1), '^(%d+ %d+) %d ', '%1 0 ')
    end
    if inc == me then
      mine = parse_presence(k)
    end
    count = count + 1
    fields[2 * count - 1], fields[2 * count], of.k[inc] = 'k:' .. inc, k, k
  end
  put_many(fields)
  drop_silence(of)
  change(meta, 'count', count)
end

-- The first of a list, in the order of their ids: a hash has none of its own.
local function first_of(incs)
  table.sort(incs)
  for i = #incs, TASKS_MAX + 1, -1 do
    incs[i] = nil
  end
  return incs
end

-- Those who have not restated, and the others. Whether one has stands behind whether it is witnessed.
local function unrestated(of)
  local alone, witnessed = ' 0 ' .. str(meta.epoch) .. ' ', ' 1 ' .. str(meta.epoch) .. ' '
  local incs = {}
  for inc, k in pairs(of.k) do
    if not string.find(k, alone, 1, true) and not string.find(k, witnessed, 1, true) then
      incs[#incs + 1] = inc
    end
  end
  return incs
end

-- While members restate: whether all have, and whose calls are to be counted. Of those who have not, operators may have
-- given up all: then nobody is waited for, neither the missing nor one who knows the members.
local function look_for_the_missing()
  local of = everybody()
  local missing, asked, given_up = false, {}, false
  for _, d in pairs(of.d) do
    given_up = given_up or num(d) == meta.epoch
  end
  for _, inc in ipairs(unrestated(of)) do
    if not is_excused(of, inc) then
      missing = true
      given_up = given_up and num(of.d[inc]) == meta.epoch
      if of.n[inc] and not of.f[inc] then
        asked[#asked + 1] = inc
      end
    end
  end
  meta.asked = first_of(asked)
  local waited = now - meta.opened
  local is_known = meta.anew == 0 or meta.rollstated == 1
  if waited >= ttl and (given_up or is_known) and (given_up or not missing or waited >= patience) then
    close(of, missing)
  end
end

-- While all is well: who is to be noted as silent, and whether those have come who were missing.
local function look_for_the_silent()
  local of = everybody()
  local missing, silent = {}, {}
  for _, inc in ipairs(unrestated(of)) do
    missing[inc] = true
  end
  for inc in pairs(of.k) do
    -- Of one that has not restated calls say nothing: what it had counted is as unknown in the next recovery.
    if not of.n[inc] and not missing[inc] and beaten_at(of.row[inc]) + silence < now then
      silent[#silent + 1] = inc
    end
  end
  meta.silent = first_of(silent)
  if meta.inc == meta.epoch and meta.maimed == 0 and not next(missing) then
    change(meta, 'inc', 0)
  end
end

-- Looks at all members.
local function look()
  change(meta, 'scan', now)
  if meta.open == 1 then
    look_for_the_missing()
  else
    look_for_the_silent()
  end
end

local waiting = meta.open == 1 or meta.inc == meta.epoch and meta.maimed == 0
if meta.scan > now or now >= meta.scan + (waiting and WAITING_SCAN_MS or math.min(SCAN_MS, silence / 4)) then
  look()
end

if mine.witnessed == 0 and not is_open() then
  local others = meta.count - 1
  local known = best_of_others('w1', 'w2') >= mine.version
  if others <= 0 or known or witness_wait > 0 and now - mine.ms >= witness_wait then
    mine.witnessed = 1
    put('k', me, pack_presence(mine))
  end
end
-- An older process of this journal may still spend what is lent here.
local older_ends = num(redis.call('HGET', KEYS[2], 'o:' .. me))
finish_roll(meta)
return answer(not is_open() and not leaving and mine.witnessed == 1 and now >= older_ends, false, joined)
