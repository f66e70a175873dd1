-- Takes a part of what a member knows, by a ledger that forgot: the header itself, bases, who is gone, sums and
-- records. Each may come twice, and in any order, but for an app's records, which do not come after its
-- sums.
--
-- KEYS[2]  the shard's fold queue; then what `report` says
-- ARGV[6]  today's number
-- ARGV[7]  when today's gain goes, in seconds
-- ARGV[8]  the highest seq that the caller has ever seen of this shard
-- ARGV[9]  how many objects a bucket holds on average at most
-- ARGV[10] the app up to which the first of those who are gone is done, or 0; their number, then their incarnations
--   the number of bases, then for each: app, counter, generation (of a gain: the day's number), version, amount
--   the number of apps; then for each what `report` says, but that instead of a freeze there is a word, and no
--   '-', where the app's sums are stated: claims of which no part has spoken hold nothing then; and behind
--   it the number of releases that the member answered and owns, then for each: field, fingerprint, the
--   day's number, the digit of the resource's own counter, 1 if groups follow, how many were given back, how
--   many groups with them, the field of the object that was deleted or '', 1 if the member's sums contain it
--
-- Answers after the head how many of those who are gone are done, and up to which app the next one is: the others are
-- to be stated again.

local refusal = refused(RESTATING)
if refusal then
  return refusal
end

local DAY_S = 24 * 3600
local today, today_ends = ARGV[6], ARGV[7]
local queue = KEYS[2]
key_at, arg_at = 2, 9
-- Its count of writes goes on above every one that is stated.
seq = math.max(seq, num(ARGV[8]))
head('open', is_open and '1' or '0')

-- Each app is read once, whatever speaks of it.
local apps, gains = {}, {}
local function app_of(key)
  if not apps[key] then
    apps[key] = read_app(key)
    read_bases(apps[key])
  end
  return apps[key]
end

-- The gain of an app on a day that is not over.
local function gain_on(id, day)
  local key = base .. 'g:' .. id .. ':' .. str(day)
  gains[key] = gains[key] or read_gain(key, str(num(today_ends) + (day - num(today)) * DAY_S))
  return gains[key]
end

local function drop_gain(id, day, inc)
  local raw = redis.call('HGET', base .. 'g:' .. id .. ':' .. str(day), 'm:' .. inc)
  if raw then
    local gain = gain_on(id, day)
    local u, out = share_of(read_entry(raw), gain)
    set(gain, 'u', gain.u - u)
    set(gain, 'out', gain.out - out)
    put('HDEL', gain.hash.key, 'm:' .. inc, 'w:' .. inc)
  end
end

-- How far one call goes with those who are gone, since nobody else is served meanwhile: how many apps are looked at, and in
-- how many something is taken away.
local LOOKED_MAX, FOUND_MAX = 100, 5
local looked, found = 0, 0

-- In an order in which one can go on: that of their digits, since an id may be larger than what a double holds.
local function all_apps()
  local ids = redis.call('ZRANGEBYSCORE', base .. 'apps', '-inf', '+inf')
  table.sort(ids)
  return ids
end

-- What one who is gone had in an app is in a base, or missing with it.
local function drop_from(id, inc)
  local key = base .. 'a:' .. id
  local raw = redis.call('HMGET', key, 'm0:' .. inc, 'm1:' .. inc, 'm2:' .. inc)
  if raw[1] or raw[2] or raw[3] then
    found = found + 1
    local app = app_of(key)
    for k = 0, 2 do
      if raw[k + 1] then
        local u, out = share_of(read_entry(raw[k + 1]), app[k])
        set(app[k], 'u', app[k].u - u)
        set(app[k], 'out', app[k].out - out)
      end
    end
    drop_entries(app, inc)
  end
  -- Others may be in the next day already.
  for day = num(today), num(today) + 1 do
    drop_gain(id, day, inc)
  end
end

-- The same in all apps after that one; the app up to which it is done, or nil if it is done in all.
local function drop_gone(inc, after, apps_in_order)
  -- Nothing is here of one of which no step was ever done.
  if redis.call('HGET', KEYS[1], 'c:' .. inc) then
    for _, id in ipairs(apps_in_order) do
      if id > after then
        if looked >= LOOKED_MAX or found >= FOUND_MAX then
          return after
        end
        looked = looked + 1
        drop_from(id, inc)
        after = id
      end
    end
  end
  mark_gone(inc)
end

local function begin_known_life(c, gen)
  if gen > c.gen then
    begin_life(c, gen)
    c.version, c.base = 0, 0
  end
end

-- The newest base counts. One that is stated when all is told comes too late to be it.
local function take_base(app, k, gen, version, amount)
  local c = app[k]
  seq = math.max(seq, version)
  begin_known_life(c, gen)
  if is_open and gen == c.gen and version > c.version then
    set(c, 'u', c.u + amount - c.base)
    write_base(app, k, version, amount)
    list(app)
  end
end

-- The same for the gain of a day.
local function take_gain_base(app, _, day, version, amount)
  seq = math.max(seq, version)
  if is_open and day >= num(today) and is_newest_day(app, day) and version > app[GAINED].version then
    local gain = gain_on(app.id, day)
    set(gain, 'u', gain.u + amount - app[GAINED].base)
    write_base(app, GAINED, version, amount)
    list(app)
  end
end

-- A record that a member forgot because it came to rest holds nothing by that member.
local function drop_unspoken(app, records, gain_of)
  local charged = redis.call('SMEMBERS', base .. 'o:' .. app.id)
  table.sort(charged)
  read_into(records, charged)
  for _, field in ipairs(charged) do
    local record = record_in(records, field)
    local dropped = false
    for attempt, of in string.gmatch(record.claims, member .. '%.(%d+)%.(%d+),') do
      if num(of) ~= epoch then
        drop_claim(record, member .. '.' .. attempt)
        dropped = true
      end
    end
    if dropped and record.state == 'p' and record.claims == '' then
      holds.become(app, record, field, 'c', gain_of)
    elseif dropped then
      settle_claims(app, record, field, gain_of, true)
    end
  end
end

-- A named object whose deletion is not known here any more is not known by its name either. What is still charged, and
-- in somebody's sums went out again, is counted by nobody else who reports it; one that was deleted before its creation was
-- reported is to be told to whoever reports that.
local function forget_object(app, records, said, gain_of)
  local record = record_in(records, said.object)
  local kind = objects.kind_of(app, said.object, tonumber(said.own))
  if kind then
    objects.forget(app, said.object, kind, said.follow == '1')
  end
  local is_unsettled = is_charged(record) and not holds.is_open(record) or record.state == 'c' and record.owner ~= ''
  if is_unsettled and not said.in_sums and record.claims ~= '' then
    holds.become(app, record, said.object, 'g', gain_of)
  elseif is_unsettled or record.state == 'x' or record.state == 'c' then
    holds.is_deleted(app, record, said.object, gain_of)
    -- Whoever states its creation after this is to be told as well.
    record.groups = said.in_sums and '' or '1'
  end
end

-- A release that is not known here any more is remembered again, for whoever repeats the id. It counts
-- nothing: its owner's sums contain it, or a recount lacks it. One that is known in `back` leaves it, as by a
-- report: the owner would else be told, when the id is asked again, that its sums lack it still.
local function keep_release(app, records, said, gain_of)
  local field = said.field
  local record = record_in(records, field)
  if record.state == 'x' then
    if said.object ~= '' then
      forget_object(app, records, said, gain_of)
    end
    record.state, record.fp, record.number, record.groups = 'r', said.fp, said.number, said.groups
    record.counters = said.own .. (said.follow == '1' and '3' or '')
    record.day, record.era, record.owner, record.claims = said.day, '', member, ''
    record.changed = true
    rest(record, app, field)
  elseif record.state == 'r' and record.fp == said.fp and record.owner == member then
    contain_release(app, record, field, gain_of)
  end
end

local function next_releases(fields)
  local said = {}
  for i = 1, next_number() do
    local r = {field = next_arg(), fp = next_arg(), day = next_arg(), own = next_arg(), follow = next_arg()}
    r.number, r.groups, r.object, r.in_sums = next_arg(), next_arg(), next_arg(), next_arg() == '1'
    said[i], fields[#fields + 1] = r, r.field
  end
  return said
end

local function restate_cells(app)
  for _ = 1, next_number() do
    local kind = next_arg()
    if kind == 'i' then
      merge_increment(app)
    elseif kind == 'g' then
      local key, ends = next_key(), next_arg()
      gains[key] = gains[key] or read_gain(key, ends)
      if merge(gains[key], next_escrow(next_sums()), true) then
        list(app)
      end
    else
      local c, said = app[tonumber(kind)], next_sums()
      next_arg()
      next_escrow(said)
      begin_known_life(c, said.gen)
      merge(c, said, true)
    end
  end
end

-- That the app was told again is noted in today's month: unless nothing had come to be in it, and other months are
-- known. What was there before today of an app that was forgotten, nobody knows.
local function remember_months(app, month_key)
  local month = months.read(month_key, today)
  if month.epoch or app.month == 0 then
    months.touch(month, today, true)
  end
  if app.month == 0 then
    app.month, app.day = month.number, num(today)
    note(app, 'mo', str(app.month) .. ' ' .. today)
  end
end

local function restate_app()
  local app_key, records_key, gain_key, month_key = next_key(), next_key(), next_key(), next_key()
  local app = app_of(app_key)
  local function gain_of(day, ends)
    local key = string.gsub(gain_key, '%-?%d+$', day)
    gains[key] = gains[key] or read_gain(key, ends or today_ends)
    local gain = gains[key]
    gain.hash.over = gain.hash.over or gain.hash.fresh and not ends and day ~= today
    return gain
  end
  local whole, plan = next_arg() ~= '-', next_arg()
  restate_cells(app)
  local said = next_records()
  local fields = {}
  for i = 1, #said.fields do
    fields[i] = said.fields[i]
  end
  local released = next_releases(fields)
  local records = read_records(records_key, fields)
  for _, a in ipairs(said.aborts) do
    withdraw(app, records, a.field, a.claim, a.note, gain_of)
  end
  for _, a in ipairs(said.answered) do
    told(app, records, a, gain_of, true)
  end
  for _, field in ipairs(said.gave) do
    contain_release(app, record_in(records, field), field, gain_of)
  end
  for _, r in ipairs(released) do
    keep_release(app, records, r, gain_of)
  end
  if whole then
    drop_unspoken(app, records, gain_of)
    remember_months(app, month_key)
  end
  if plan ~= '-' then
    plans.keep(app, today, plan)
  end
  save_records(records)
end

local function next_word()
  arg_at = arg_at + 1
  return ARGV[arg_at]
end
-- Those who are gone, as far as one call goes.
local gone_done, gone_after = 0, next_word()
local gone_all, apps_in_order = num(next_word()), nil
for i = 1, gone_all do
  local inc = next_word()
  if gone_done == i - 1 and redis.call('HGET', KEYS[1], 'x:' .. inc) then
    gone_done, gone_after = i, '0'
  elseif gone_done == i - 1 and looked < LOOKED_MAX and found < FOUND_MAX then
    apps_in_order = apps_in_order or all_apps()
    local after = drop_gone(inc, gone_after, apps_in_order)
    if after then
      gone_after = after
    else
      gone_done, gone_after = i, '0'
    end
  end
end
for _ = 1, num(next_word()) do
  local id, k, gen = next_word(), num(next_word()), num(next_word())
  local take = k == GAINED and take_gain_base or take_base
  take(app_of(base .. 'a:' .. id), k, gen, num(next_word()), num(next_word()))
end
local blocks = num(next_word())
-- One who is gone states what it knows of others, and nothing of itself.
if not is_gone then
  for _ = 1, blocks do
    restate_app()
  end
end
for _, app in pairs(apps) do
  save(app)
end
for _, gain in pairs(gains) do
  save(gain.hash)
end
months.save()
objects.save()
save_rest(queue)
save_version()
local reply = seal({FINE, 0, 0, now, gone_done, gone_after})
if not reply.err then
  objects.grow(tonumber(ARGV[9]))
end
return reply
