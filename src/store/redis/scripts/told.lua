-- What a member says of records: takes that it answered, attempts that it withdraws, releases that its sums
-- contain.

local COUNTED, YOURS, AGAIN = '0', '1', '2'

-- A refusal that is not known here any more is remembered again, for whoever repeats the id.
local function keep_refusal(app, record, field, said)
  record.state, record.fp, record.number, record.counters = 'd', said.fp, '0', said.refused
  record.day, record.era, record.owner, record.claims = said.day, '', '', ''
  record.changed = true
  rest(record, app, field)
end

-- A record that is not known here, though it was answered: it comes back with what it moved.
local function revive(app, record, said)
  record.fp, record.number, record.counters = said.fp, said.amount, said.counters
  record.day, record.era, record.owner = said.day, generations(app, said.counters), ''
  record.claims, record.ends = '', said.ends
end

-- Whether the owner of a record will count it: one who is gone counts nothing any more.
local function has_owner(record)
  if record.owner == '' then
    return false
  end
  return not redis.call('HGET', KEYS[1], 'x:' .. string.match(record.owner, '^[^.]*'))
end

-- An answer that the ledger had settled before it forgot. Sums contained it in the lives that are named; if one
-- is over, a recount has taken their place, and if it is not known here yet, they will be told. So it is charged
-- nowhere, and its member never reports it again. Asked for anew after a recount, it takes a new unit: what is
-- charged under the id without its claim may be that one.
local function settled(app, record, field, said, gain_of)
  if is_charged(record) then
    local is_now = said.contained == generation(app, said.counters)
    if record.fp ~= said.fp or not is_now and not listed(record.claims, said.claim .. '.') then
      return
    end
    charge(app, record, -1, gain_of)
    close_record(app, field)
  elseif record.state == 'x' or record.state == 'd' then
    revive(app, record, said)
    record.era = said.settled
    add_claim(record, said.claim)
  else
    return
  end
  record.state, record.changed = 'c', true
  rest(record, app, field)
end

-- An answered take. Its charge ends in somebody's sums and nowhere else: it stays until a member says that
-- its sums of this generation contain it. While members restate nobody is made the owner: one who will
-- restate later may be it.
local function answered(app, record, field, said, gain_of, restating)
  if said.refused ~= '-' then
    if record.state == 'x' and said.remembered then
      keep_refusal(app, record, field, said)
    end
    return COUNTED
  end
  if said.settled then
    settled(app, record, field, said, gain_of)
    return COUNTED
  end
  local contained = said.contained == generation(app, said.counters)
  if record.state == 'x' or record.state == 'd' then
    revive(app, record, said)
    record.state, record.changed = contained and 'c' or 'p', true
    if contained then
      add_claim(record, said.claim)
      rest(record, app, field)
      return COUNTED
    end
    charge(app, record, 1, gain_of)
    open_record(app, field)
  end
  if not is_charged(record) or record.fp ~= said.fp then
    return COUNTED
  end
  -- A late copy: what it speaks of was outlived, and the id has taken a new unit since.
  if contained and not restating and record.state == 'h' and not listed(record.claims, said.claim .. '.') then
    return COUNTED
  end
  record.changed = true
  if contained then
    charge(app, record, -1, gain_of)
    close_record(app, field)
    record.state = 'c'
    rest(record, app, field)
    return COUNTED
  end
  record.state = 'p'
  hear_claim(record, said.claim)
  if restating or record.owner ~= said.claim and has_owner(record) then
    return AGAIN
  end
  record.owner = said.claim
  return YOURS
end

-- A held record that nobody claims is freed; a pinned one only loses its owner.
local function settle_claims(app, record, field, gain_of)
  record.changed = true
  if record.state == 'h' and record.claims == '' then
    charge(app, record, -1, gain_of)
    close_record(app, field)
    record.state, record.fp, record.number, record.counters = 'x', '', '0', ''
    record.era, record.owner = '', ''
    rest(record, app, field)
  elseif record.state == 'x' then
    rest(record, app, field)
  end
end

local function withdraw(app, record, field, claim, gain_of)
  if withdrawn(record, claim) then
    return
  end
  bury(record, claim)
  drop_claim(record, claim)
  settle_claims(app, record, field, gain_of)
end

-- A release that its owner's sums contain leaves `back`. What an older epoch, or a life before a recount,
-- had in it is not there any more; the gain follows the groups.
local function contain_release(app, record, field, gain_of)
  if record.state ~= 'r' or record.era == '' then
    return
  end
  local of, gen_own, gen_groups = string.match(record.era, '^(%d+) (%d+) (%d+)$')
  local own = tonumber(string.sub(record.counters, 1, 1))
  local follow = string.find(record.counters, '3', 1, true)
  if num(of) == epoch then
    if num(gen_own) == app[own].gen then
      set(app[own], 'back', app[own].back - tonumber(record.number))
    end
    if follow and num(gen_groups) == app[1].gen then
      if own ~= 1 then
        set(app[1], 'back', app[1].back - tonumber(record.groups))
      end
      local gain = gain_of(record.day)
      set(gain, 'back', gain.back - tonumber(record.groups))
    end
  end
  record.era, record.changed = '', true
  rest(record, app, field)
end

-- The records of one app that a call speaks of, each read once and written once.
local function read_records(key, fields)
  local known = {}
  for from = 1, #fields, WORDS_MAX do
    local raws = redis.call('HMGET', key, unpack(fields, from, math.min(from + WORDS_MAX - 1, #fields)))
    for i = 1, #raws do
      known[fields[from + i - 1]] = unpack_record(raws[i])
    end
  end
  return known
end

local function save_records(key, fields, known)
  local changed = {'HSET', key}
  for i = 1, #fields do
    local record = known[fields[i]]
    if record.changed then
      changed[#changed + 1] = fields[i]
      changed[#changed + 1] = pack_record(record)
    end
  end
  if changed[3] then
    put_all(changed)
  end
end
