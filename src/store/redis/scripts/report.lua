-- Reads what a call says of an app: one word after the other, from ARGV and KEYS.
--
-- For each app, KEYS: the app, its records, today's gain, today's month; ARGV: the freeze that is
-- acknowledged or '-', the app's plan or '-', the number of cells, then for each cell its kind and
--   0, 1, 2  accounts, groups, AV rooms: consumed, released, the highest net, escrow, wish
--   g        gained: when that gain goes, consumed, released, escrow, wish; KEYS: that day's gain
--   i        increment: the day's number, when its keys go, when it is sealed (ms), the total;
--            KEYS: the day's users, its month
-- where escrow is '-', or generation, offset, taken, given, granted and done; and a wish is '-', or units and
-- limit; then
--   the number of answered takes, then for each: field, fingerprint, the digit of the counter that
--     refused it or '-', 1 if a refusal is remembered, the attempt, the generation in which the member's sums
--     contain it or '-', the generations of the live counters in which it was settled (none: it is gone since) or '-', the amount, a digit for
--     each part, the day's number, when that day's gain goes; and '-', or what was done with it (n counted, e counted
--     since it exists, a counted without asking, r reserved, c confirmed, l confirmed by the app's rules, z cancelled, f freed), when the
--     reservation expires or '', the field of the client's id where the record is an object's or ''
--   the number of aborts, then for each: field, attempt, the field of the client's id where the record is an object's
--     or ''
--   the number of releases that the sums contain, then for each: field

local key_at, arg_at = 0, 0

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

local function next_sums()
  local said = {gen = 0, offset = 0, taken = 0, given = 0, granted = 0, done = 0}
  said.consumed, said.released = next_number(), next_number()
  return said
end

local function next_escrow(said)
  local gen = next_arg()
  if gen ~= '-' then
    said.gen, said.offset, said.taken = tonumber(gen), next_number(), next_number()
    said.given, said.granted, said.done = next_number(), next_number(), next_number()
  end
  local units = next_arg()
  if units ~= '-' then
    said.units, said.limit = tonumber(units), next_arg()
  end
  return said
end

-- Says what is said of records, without the fields: those are read first.
local NO_RECORDS = {fields = {}, answered = {}, aborts = {}, gave = {}}

local function next_records()
  if ARGV[arg_at + 1] == '0' and ARGV[arg_at + 2] == '0' and ARGV[arg_at + 3] == '0' then
    arg_at = arg_at + 3
    return NO_RECORDS
  end
  local said = {fields = {}, answered = {}, aborts = {}, gave = {}}
  local seen = {}
  local function next_field()
    local field = next_arg()
    if not seen[field] then
      seen[field] = true
      said.fields[#said.fields + 1] = field
    end
    return field
  end
  for i = 1, next_number() do
    local a = {field = next_field(), fp = next_arg(), refused = next_arg(), remembered = next_arg() == '1'}
    a.claim, a.contained = member .. '.' .. next_arg(), tonumber(next_arg())
    local settled = next_arg()
    a.settled = settled ~= '-' and settled
    a.amount, a.counters, a.day, a.ends = next_arg(), next_arg(), next_arg(), next_arg()
    local intent = next_arg()
    a.note = ''
    if intent ~= '-' then
      a.intent, a.ends_hold, a.note = intent, next_arg(), next_arg()
    end
    said.answered[i] = a
  end
  for i = 1, next_number() do
    said.aborts[i] = {field = next_field(), claim = member .. '.' .. next_arg(), note = next_arg()}
  end
  for i = 1, next_number() do
    said.gave[i] = next_field()
  end
  return said
end

-- `too_late`: a list for what is not counted, since its day is sealed.
local function merge_increment(app, too_late)
  local users, month_key = read_users(next_key(), member), next_key()
  local day, ends, sealed, total = next_arg(), next_arg(), next_number(), next_number()
  if total <= users.mine then
    return
  end
  if now >= sealed then
    if too_late then
      too_late[#too_late + 1] = app.id .. ' ' .. day .. ' ' .. str(total - users.mine)
      months.note_too_late(month_key, day, total - users.mine)
    end
    return
  end
  users.increments = users.increments + total - users.mine
  if users.increments >= COUNT_END then
    overflow = users.key
  end
  note(users, 'm:' .. member, str(total))
  note(users, 'i', str(users.increments))
  keep_until(users, ends)
  save(users)
  book_users(users, months.read(month_key, day), day)
  list(app)
end
