-- Says what a reservation came to: it is confirmed, cancelled, or freed when it has expired.
--
-- KEYS[2] the app, KEYS[3] its records, KEYS[4] the day's gain, KEYS[5] the shard's fold queue
-- ARGV[6]  the attempt
-- ARGV[7]  the record's field, ARGV[8] the field of the client's id where the record is an object's, or ''
-- ARGV[9]  the fingerprint, which is not compared: an id has one reservation
-- ARGV[10] the day's number
-- ARGV[11] when the day's gain goes, in seconds
-- ARGV[12] c to confirm, l to confirm what has expired by the app's rules, z to cancel, f to free what has expired
-- ARGV[13] the digit of the resource's own counter
--
-- Answers as `take_object`.

local refusal = refused(COUNTING)
if refusal then
  return refusal
end

local field, note_field, fp, day, intent = ARGV[7], ARGV[8], ARGV[9], ARGV[10], ARGV[12]
local claim = member .. '.' .. ARGV[6]
ask(day, ARGV[11], {field, note_field})

local function finish(outcome, with)
  with = with or {}
  -- The id stands for the object from now on, also where another had created or reserved it.
  local beside = note_field ~= '' and all.known[note_field]
  if intent == 'c' and outcome == TAKEN.ALLOWED and beside and beside.state == 'x' then
    write_note(app, beside, note_field, fp, field, '0')
  end
  local whose = with.settled and 2 or with.mine and 1 or 0
  return finish_with({FINE, 0, 0, now, outcome, with.replayed and 1 or 0, whose, 0, 0,
    with.already and 1 or 0, with.late and 1 or 0, 0})
end

local function is_over(record)
  return now > holds.ends(record)
end

-- Whether it is what was reserved under the caller's id, where that is named: the object may be another's.
local function is_asked_for(record, at)
  local id = at ~= field and field or note_field
  return record.hold ~= '' and (not objects.is(at) or id == '' or record.id == id)
end

local function cancel(record, at)
  if not is_asked_for(record, at) then
    return finish(TAKEN.NO_HOLD)
  end
  if record.state == 'k' then
    return finish(TAKEN.CONFIRMING)
  end
  if record.state == 'z' then
    return finish(TAKEN.ALLOWED, {replayed = true})
  end
  if not holds.is_open(record) and record.state ~= 'f' then
    return finish(TAKEN.ENDED)
  end
  record.claims = ''
  holds.become(app, record, at, 'z', gain_of)
  return finish(TAKEN.ALLOWED)
end

local function lapse(record, at)
  if not is_asked_for(record, at) or not holds.is_open(record) or not is_over(record) then
    return finish(TAKEN.NO_HOLD)
  end
  record.claims = ''
  holds.become(app, record, at, 'f', gain_of)
  return finish(TAKEN.ALLOWED)
end

-- One that was confirmed, and maybe is told so again. What the app's rules counted is confirmed now, late.
local function confirmed_before(record)
  local how = holds.how(record)
  if how == 'c' then
    holds.mark(record, '1')
    record.changed = true
  end
  if is_charged(record) and add_claim(record, claim) then
    record.changed = true
  end
  local settled = not is_charged(record)
  return finish(TAKEN.ALLOWED, {replayed = how ~= 'c', mine = record.owner == claim, settled = settled, late = how ~= '0'})
end

local function confirm_open(record, at)
  local how = holds.in_time(record)
  holds.confirm(app, record, at, claim, intent == 'l' and 'c' or how, gain_of)
  return finish(TAKEN.ALLOWED, {mine = true, late = how == '1'})
end

-- Where there is nothing to confirm: of an object it is enough that it is counted.
local function confirm_none(record, at)
  if intent == 'c' and objects.is(at) then
    local charged = is_charged(record)
    if charged or record.state == 'c' or objects.kind_of(app, at, tonumber(ARGV[13])) then
      if charged and add_claim(record, claim) then
        record.changed = true
      end
      return finish(TAKEN.ALLOWED, {mine = record.owner == claim, settled = not charged, already = true})
    end
  end
  return finish(TAKEN.NO_HOLD)
end

local function confirm(record, at)
  if intent == 'l' and not (is_asked_for(record, at) and holds.is_open(record) and is_over(record)) then
    return finish(TAKEN.NO_HOLD)
  end
  if record.state == 'g' then
    return finish(TAKEN.CONFIRMING)
  end
  if holds.is_open(record) then
    return confirm_open(record, at)
  end
  if record.hold == '' or record.state == 'x' then
    return confirm_none(record, at)
  end
  if record.state == 'f' or record.state == 'z' then
    if objects.is(at) and objects.kind_of(app, at, tonumber(ARGV[13])) then
      return confirm_none(record, at)
    end
    if record.state == 'z' and is_asked_for(record, at) then
      return finish(TAKEN.ENDED)
    end
    return confirm_open(record, at)
  end
  -- Confirmed under another id, it is there already.
  return (is_asked_for(record, at) and confirmed_before or confirm_none)(record, at)
end

-- Those who confirm what is counted by another record: each is told so when it reports it.
local function dismiss(record, claims)
  for attempt in string.gmatch(claims, '([^.,]*%.[^.,]*)%.%d+,') do
    bury(record, attempt)
    record.changed = true
  end
  if record.changed and record.state == 'x' then
    rest(record, app, field)
  end
end

-- A reservation that was made without a name is confirmed with one: it moves to the object's record. Where the
-- object is counted already, its place is free.
local function move(own, record)
  if own.state == 'z' or own.state == 'p' or own.state == 'c' then
    return confirm(own, note_field)
  end
  if intent == 'l' and not (holds.is_open(own) and is_over(own)) then
    return finish(TAKEN.NO_HOLD)
  end
  if record.state == 'g' then
    return finish(TAKEN.CONFIRMING)
  end
  local is_known = is_charged(record) or record.state == 'c'
    or objects.kind_of(app, field, tonumber(string.sub(own.counters, 1, 1)))
  local was = {fp = own.fp, number = own.number, counters = own.counters, day = own.day, hold = own.hold,
    claims = own.claims, owner = own.owner, state = own.state}
  holds.become(app, own, note_field, 'x', gain_of)
  write_note(app, own, note_field, was.fp, field, is_known and '0' or '1', is_known and was.counters, is_known and was.day)
  if is_known then
    dismiss(record, was.claims)
    return holds.is_open(record) and confirm_open(record, field) or confirm_none(record, field)
  end
  record.fp, record.number, record.groups, record.counters = was.fp, was.number, '', was.counters
  record.day, record.hold, record.id = was.day, was.hold, note_field
  if was.state ~= 'k' then
    return confirm_open(record, field)
  end
  record.claims, record.owner, record.era = was.claims, was.owner, generations(app, was.counters)
  holds.become(app, record, field, 'k', gain_of)
  return confirmed_before(record)
end

local ways = {c = confirm, l = confirm, z = cancel, f = lapse}
if app.frozen then
  return finish(TAKEN.FROZEN)
end
if withdrawn(all.known[field], claim) then
  return finish(TAKEN.WITHDRAWN)
end
local beside = note_field ~= '' and all.known[note_field]
if beside and beside.hold ~= '' then
  if intent == 'c' or intent == 'l' then
    return move(beside, all.known[field])
  end
  return ways[intent](beside, note_field)
end
if beside and beside.state ~= 'x' then
  local is_its = beside.state == 'd' or beside.state == 'i' and beside.owner == field
  if not is_its then
    return finish(TAKEN.OTHER_CONTENT)
  end
end
return ways[intent](meant_by(all, field))
