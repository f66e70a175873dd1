-- Settles: merges totals, keeps answered takes, withdraws attempts; many apps of one shard.
--
-- KEYS[2]  the shard's fold queue
-- KEYS[3] … for each app: the app, its records, today's gain, today's month; then what its cells name
-- ARGV[6]  the member's incarnation
-- ARGV[7]  today's number
-- ARGV[8]  when today's gain goes, in seconds
-- ARGV[9]  the number of apps; then for each
--   the number of cells, then for each cell its kind and
--     0, 1, 2  accounts, groups, AV rooms: consumed, released, the highest net
--     g        gained: when that gain goes, consumed, released; KEYS: that day's gain
--     i        increment: the day's number, when its keys go, when it is sealed (ms), the total;
--              KEYS: the day's users, its month
--   the number of answered takes, then for each: field, fingerprint, the digit of the counter that
--     refused it or '-', 1 if a refusal is remembered
--   the number of aborts, then for each: field, attempt
--
-- Answers after the head: a view for each app.

local FOLD = 16

local refusal = refused(false)
if refusal then
  return refusal
end

local member, today = ARGV[6], ARGV[7]
local queue = KEYS[2]
local key_at, arg_at = 2, 9

local function next_key()
  key_at = key_at + 1
  return KEYS[key_at]
end

local function next_arg()
  arg_at = arg_at + 1
  return ARGV[arg_at]
end

local function next_number()
  return tonumber(next_arg())
end

-- A live count: both totals only grow, so that the larger is the newer.
local function merge_live(app, counter, month_key)
  local c, r, high = next_number(), next_number(), next_number()
  local old_c, old_r = app.consumed[counter], app.released[counter]
  local new_c, new_r = math.max(c, old_c), math.max(r, old_r)
  if new_c == old_c and new_r == old_r then
    -- Repeated or overtaken. Its high was heard, or belongs to a count that has moved on.
    return true
  end
  local month = counter == 1 and read_month(month_key)
  if month then
    begin_month(app, month, today)
  end
  local before = app.net[counter]
  if new_c >= COUNT_END or new_r >= COUNT_END
    or not set_net(app, counter, before + (new_c - old_c) - (new_r - old_r)) then
    return false
  end
  app.consumed[counter], app.released[counter] = new_c, new_r
  note(app, 'm' .. counter .. ':' .. member, app.gen .. ' ' .. str(new_c) .. ' ' .. str(new_r))
  if month then
    raise_peak(month, today, before - app.held - (old_c - old_r) + high)
    raise_peak(month, today, app.net[1] - app.held)
  end
  return true
end

local function merge_gain(gain)
  local c, r = math.max(next_number(), gain.consumed), math.max(next_number(), gain.released)
  local delta = (c - gain.consumed) - (r - gain.released)
  if gain.over or c == gain.consumed and r == gain.released then
    return
  end
  gain.consumed, gain.released = c, r
  set_gain(gain, gain.net + delta)
  note(gain, 'm:' .. member, str(c) .. ' ' .. str(r))
end

local function merge_increment(app)
  local users, month_key = read_users(next_key(), member), next_key()
  local day, ends, sealed, total = next_arg(), next_arg(), next_number(), next_number()
  if now >= sealed or total <= users.mine then
    return true
  end
  users.increments = users.increments + total - users.mine
  if users.increments >= COUNT_END then
    return false
  end
  note(users, 'm:' .. member, str(total))
  note(users, 'i', str(users.increments))
  keep_until(users, ends)
  save(users)
  local month = read_month(month_key)
  begin_month(app, month, day)
  book_users(users, month, day)
  return true
end

-- A held record is answered with ALLOW: from now on nothing frees it.
local function count_record(app, record, field, month_key)
  if string.find(record.counters, '1', 1, true) then
    local month = read_month(month_key)
    begin_month(app, month, today)
    app.held = app.held - tonumber(record.number)
    note(app, 'h1', str(app.held))
    raise_peak(month, today, app.net[1] - app.held)
  end
  record.state, record.claims, record.changed = 'c', '', true
  rest(record, app.id, field)
end

-- A refusal that is not known here any more is remembered again, for whoever repeats the id.
local function keep_refusal(app, record, field, fp, counter)
  record.state, record.fp, record.number, record.counters = 'd', fp, '0', counter
  record.day, record.claims, record.changed = today, '', true
  rest(record, app.id, field)
end

-- An attempt is withdrawn: a held record without claims is freed. False if a count is too large.
local function withdraw(app, record, field, claim, gain_of)
  bury(record, claim)
  drop_claim(record, claim)
  record.changed = true
  if record.state == 'h' and record.claims == '' then
    local amount = tonumber(record.number)
    local gain = string.find(record.counters, '3', 1, true) and gain_of(record.day)
    if not move(app, gain, record.counters, -amount, -amount) then
      return false
    end
    record.state, record.fp, record.number, record.counters = 'x', '', '0', ''
    rest(record, app.id, field)
  elseif record.state == 'x' then
    rest(record, app.id, field)
  end
  return true
end

-- One app, with what it needs read once and written once.
local function settle_app(answer)
  local app_key, records, gain_key, month_key = next_key(), next_key(), next_key(), next_key()
  local app = read_app(app_key, member)
  local gains = {[gain_key] = read_gain(gain_key, member, ARGV[8])}
  -- The gain of a record's day, which may be another than today.
  local function gain_of(day)
    local key = string.gsub(gain_key, '%-?%d+$', day)
    if not gains[key] then
      gains[key] = read_gain(key, member, ARGV[8])
    end
    -- If it has gone, the day is over.
    gains[key].over = gains[key].over or gains[key].ends ~= nil
    return gains[key]
  end

  for _ = 1, next_number() do
    local kind = next_arg()
    local merged = true
    if kind == 'i' then
      merged = merge_increment(app)
    elseif kind == 'g' then
      local key, ends = next_key(), next_arg()
      gains[key] = gains[key] or read_gain(key, member, ends)
      merge_gain(gains[key])
    else
      merged = merge_live(app, tonumber(kind), month_key)
    end
    if not merged then
      return false, app
    end
  end

  -- The records that are spoken of, each read once.
  local answered_at = arg_at + 1
  local aborts_at = answered_at + 1 + 4 * tonumber(ARGV[answered_at])
  local fields, known, changed = {}, {}, {'HSET', records}
  local function name(from, width)
    for at = from + 1, from + width * tonumber(ARGV[from]), width do
      local field = ARGV[at]
      if not known[field] then
        known[field] = true
        fields[#fields + 1] = field
      end
    end
  end
  name(answered_at, 4)
  name(aborts_at, 2)
  if #fields > 0 then
    local raws = redis.call('HMGET', records, unpack(fields))
    for i = 1, #fields do
      known[fields[i]] = unpack_record(raws[i])
    end
  end

  for _ = 1, next_number() do
    local field, fp = next_arg(), next_arg()
    local refused, remembered = next_arg(), next_arg()
    local record = known[field]
    if refused ~= '-' then
      if record.state == 'x' and remembered == '1' then
        keep_refusal(app, record, field, fp, refused)
      end
    elseif record.state == 'h' and record.fp == fp then
      count_record(app, record, field, month_key)
    end
  end
  for _ = 1, next_number() do
    local field, claim = next_arg(), member .. '.' .. next_arg()
    local record = known[field]
    if not withdrawn(record, claim) and not withdraw(app, record, field, claim, gain_of) then
      return false, app
    end
  end
  for i = 1, #fields do
    local record = known[fields[i]]
    if record.changed then
      changed[#changed + 1] = fields[i]
      changed[#changed + 1] = pack_record(record)
    end
  end
  if changed[3] then
    put(unpack(changed))
  end
  save(app)
  for _, gain in pairs(gains) do
    save(gain)
  end
  show(answer, app, gains[gain_key])
  return true, app
end

local answer = {FINE, 0, 0, now}
for _ = 1, tonumber(ARGV[9]) do
  local settled, app = settle_app(answer)
  if not settled then
    return too_large(app)
  end
end
save_months()
save_rest(queue)
local reply = seal(answer)
fold(queue, FOLD)
return reply
