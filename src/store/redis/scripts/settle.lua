-- Settles: merges sums, withdraws attempts, keeps answered takes, lends; many apps of one shard.
--
-- KEYS[2]  the shard's fold queue; then what `report` says
-- ARGV[6]  today's number
-- ARGV[7]  when today's gain goes, in seconds
-- ARGV[8]  how many objects a bucket holds on average at most
-- ARGV[9]  the number of apps; then for each what `report` says
--
-- Answers after the head: what becomes of the answered takes, a digit for each (0 counted, 1 the caller's,
-- 2 to be reported again, 3 its object is deleted); the users that are not counted, since their day is sealed, 'app
-- day users' each, comma separated; then a view for each app.

local FOLD = 16

local refusal = refused(COUNTING)
if refusal then
  return refusal
end

local today, today_ends = ARGV[6], ARGV[7]
local queue = KEYS[2]
key_at, arg_at = 2, 9

local acks, too_late = {}, {}
-- Whether a member knows of a recount that is not known here.
local forgotten = false

-- Merges the cells; of the groups it says what the peak was in between.
local function merge_cells(app, gains, wishes)
  local high
  for _ = 1, next_number() do
    local kind = next_arg()
    if kind == 'i' then
      merge_increment(app, too_late)
    elseif kind == 'g' then
      local key, ends = next_key(), next_arg()
      gains[key] = gains[key] or read_gain(key, ends)
      local said = next_escrow(next_sums())
      if merge(gains[key], said) then
        list(app)
      end
      wishes[#wishes + 1] = said.units and {gains[key], 3, said}
    else
      local k = tonumber(kind)
      local c, said = app[k], next_sums()
      local said_high = next_number()
      next_escrow(said)
      forgotten = forgotten or said.gen > c.gen
      local old = c.me
      merge(c, said)
      local new = c.me
      -- Repeated or overtaken, a high was heard, or belongs to a count that has moved on.
      if k == 1 and new.gen == c.gen and (new.consumed ~= old.consumed or new.released ~= old.released) then
        high = math.max(said_high, new.consumed - new.released) - (old.consumed - old.released)
      end
      wishes[#wishes + 1] = said.units and {c, k, said}
    end
  end
  return high
end

-- One app, with what it needs read once and written once.
local function settle_app(answer)
  local app_key, records_key, gain_key, month_key = next_key(), next_key(), next_key(), next_key()
  local app = read_app(app_key)
  local gains = {[gain_key] = read_gain(gain_key, today_ends)}
  -- The gain of a record's day, which may be another than today. Without a word on when it goes, one
  -- that is not there has gone.
  local function gain_of(day, ends)
    local key = string.gsub(gain_key, '%-?%d+$', day)
    if not gains[key] then
      gains[key] = read_gain(key, ends or today_ends)
    end
    local gain = gains[key]
    gain.hash.over = gain.hash.over or gain.hash.fresh and not ends and key ~= gain_key
    return gain
  end

  local counted_before = counted(app[1])
  local acknowledged, plan = next_arg(), next_arg()
  local wishes = {}
  local high = merge_cells(app, gains, wishes)
  local said = next_records()
  local records = read_records(records_key, said.fields)
  for _, a in ipairs(said.aborts) do
    withdraw(app, records, a.field, a.claim, a.note, gain_of)
  end
  local is_gone = false
  for _, a in ipairs(said.answered) do
    local ack = told(app, records, a, gain_of)
    acks[#acks + 1] = ack
    is_gone = is_gone or ack == GONE_OBJECT
  end
  for _, field in ipairs(said.gave) do
    contain_release(app, record_in(records, field), field, gain_of)
  end
  save_records(records)

  if high or counted(app[1]) ~= counted_before then
    months.book(app, month_key, today, counted_before, counted_before + (high or 0))
  end
  if plan ~= '-' then
    plans.note(app, today, plan)
  end
  -- Whoever is told just now that an object is deleted has yet to give it back: its next report does acknowledge.
  if acknowledged ~= '-' and tonumber(acknowledged) == app.frozen and not is_gone then
    note(app, 'q:' .. member, acknowledged)
  end
  for _, wish in ipairs(wishes) do
    lend(app, unpack(wish))
  end
  thaw(app)
  save(app)
  for _, gain in pairs(gains) do
    save(gain.hash)
  end
  show(answer, app, gains[gain_key])
end

local answer = {FINE, 0, 0, now, '', ''}
for _ = 1, tonumber(ARGV[9]) do
  settle_app(answer)
end
if forgotten then
  writes, header = {}, {'HSET', KEYS[1]}
  return {LOST, epoch, seq, now}
end
answer[5], answer[6] = table.concat(acks), table.concat(too_late, ',')
months.save()
objects.save()
save_rest(queue)
local reply = seal(answer)
if not reply.err then
  fold(queue, FOLD)
  objects.grow(tonumber(ARGV[8]))
end
return reply
