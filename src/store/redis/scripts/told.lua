-- What a member says of records: takes that it answered, attempts that it withdraws, releases that its sums
-- contain.

local COUNTED, YOURS, AGAIN, GONE_OBJECT = '0', '1', '2', '3'

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

-- Whether nothing is charged or counted under a record: what was answered of it comes back. What ended otherwise
-- did so at a ledger that had forgotten that answer.
local function is_nothing(record)
  return record.state == 'x' or record.state == 'd' or record.hold ~= '' and (record.state == 'z' or record.state == 'f')
end

-- Whether a record is what an answer speaks of. All ids that speak of an object or of a reservation mean the same.
local function is_meant(record, said)
  return said.intent or record.fp == said.fp
end

-- Whoever's sums contain it has counted it as what it said that it is.
local function as_said(app, record, field, said, gain_of)
  if said.intent then
    holds.recharge(app, record, field, said.counters, said.day, gain_of)
  end
end

-- An answer that the ledger had settled before it forgot. Sums contained it in the lives that are named; if one
-- is over, a recount has taken their place, and if it is not known here yet, they will be told. So it is charged
-- nowhere, and its member never reports it again. Asked for anew after a recount, it takes a new unit: what is
-- charged under the id without its claim may be that one. A reservation is confirmed but once.
local function settled(app, record, field, said, gain_of)
  if is_charged(record) then
    local is_now = said.contained == generation(app, said.counters)
    local is_other = not is_now and record.hold == '' and not listed(record.claims, said.claim .. '.')
    if is_other or not is_meant(record, said) then
      return
    end
    as_said(app, record, field, said, gain_of)
  elseif is_nothing(record) then
    revive(app, record, said)
    record.era = said.settled
    add_claim(record, said.claim)
  else
    return
  end
  holds.become(app, record, field, 'c', gain_of)
end

-- An answered take. Its charge ends in somebody's sums and nowhere else: it stays until a member says that
-- its sums of this generation contain it. While members restate nobody is made the owner: one who will
-- restate later may be it.
local function answered(app, record, field, said, gain_of, restating)
  if said.settled then
    settled(app, record, field, said, gain_of)
    return COUNTED
  end
  local contained = said.contained == generation(app, said.counters)
  if is_nothing(record) then
    revive(app, record, said)
    if contained then
      add_claim(record, said.claim)
      -- It will be reported again.
      record.owner = restating and said.intent and said.claim or ''
      holds.become(app, record, field, 'c', gain_of)
      return COUNTED
    end
    holds.become(app, record, field, 'p', gain_of)
  end
  if not is_charged(record) or not is_meant(record, said) then
    return COUNTED
  end
  -- A late copy: what it speaks of was outlived, and the id has taken a new unit since.
  if contained and not restating and record.state == 'h' and record.hold == ''
    and not listed(record.claims, said.claim .. '.') then
    return COUNTED
  end
  if contained then
    as_said(app, record, field, said, gain_of)
    holds.become(app, record, field, 'c', gain_of)
    return COUNTED
  end
  holds.become(app, record, field, 'p', gain_of)
  hear_claim(record, said.claim)
  if restating or record.owner ~= said.claim and has_owner(record) then
    return AGAIN
  end
  as_said(app, record, field, said, gain_of)
  record.owner = said.claim
  return YOURS
end

-- What its member counted without the ledger's word, under an id that all are to know. Nothing was ever charged for it.
-- Where the id is another's that counts, it is given back; where it is not known yet whether that one will, nobody's
-- abort frees that any more, and the member asks again. A count of a life that is over a recount has, or has not.
local function told_alone(app, record, field, said, gain_of)
  if said.contained ~= generation(app, said.counters) or listed(record.claims, said.claim .. '.') then
    return COUNTED
  end
  local is_new = is_nothing(record) or record.state == 'c' and is_of_older_life(app, record)
  if not is_new and record.fp ~= said.fp then
    return COUNTED
  end
  if not is_new and record.state == 'c' then
    return GONE_OBJECT
  end
  if is_new then
    revive(app, record, said)
  elseif not is_charged(record) then
    return COUNTED
  elseif has_owner(record) then
    if record.state == 'h' then
      holds.become(app, record, field, 'p', gain_of)
    end
    return AGAIN
  end
  add_claim(record, said.claim)
  holds.become(app, record, field, 'c', gain_of)
  return COUNTED
end

-- A held record that nobody claims is freed; a pinned one only loses its owner; a reservation that nobody confirms
-- after all stands. While members restate, one that nobody speaks of does: it may have been answered.
local function settle_claims(app, record, field, gain_of, restating)
  record.changed = true
  if record.claims ~= '' then
    return
  end
  if record.state == 'k' or restating and holds.is_open(record) then
    holds.stand(app, record, field, gain_of)
  elseif record.state == 'h' then
    holds.become(app, record, field, 'x', gain_of)
    record.fp, record.number, record.counters = '', '0', ''
    record.era, record.owner, record.hold, record.id = '', '', '', ''
    if record.groups ~= '' then
      holds.is_deleted(app, record, field, gain_of)
    end
  elseif record.state == 'g' then
    holds.is_deleted(app, record, field, gain_of)
  elseif record.state == 'x' then
    rest(record, app, field)
  end
end

-- An attempt is withdrawn under the name under which it was made, and under the id that is noted beside it, if one is.
local function withdraw(app, records, at, claim, note_field, gain_of)
  if note_field ~= '' then
    notes.withdraw(record_in(records, note_field), claim)
  end
  local record = record_in(records, at)
  if withdrawn(record, claim) then
    return
  end
  bury(record, claim)
  record.changed = true
  local meant, field = meant_by(records, at)
  drop_claim(meant, claim)
  settle_claims(app, meant, field, gain_of)
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
