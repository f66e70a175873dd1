-- Takes that name an object, reserve, or say what exists: writes a record, or finds the one that is there.
--
-- KEYS[2] the app, KEYS[3] its records, KEYS[4] the day's gain, KEYS[5] the shard's fold queue
-- ARGV[6]  the attempt
-- ARGV[7]  the record's field, ARGV[8] the field of the client's id where the record is an object's, or ''
-- ARGV[9]  the fingerprint
-- ARGV[10] the day's number
-- ARGV[11] when the day's gain goes, in seconds
-- ARGV[12] 1 if a refusal is remembered under the record's field
-- ARGV[13] n to count, e if it exists whether it fits or not, r to reserve
-- ARGV[14] when the reservation expires, in ms, or ''
-- ARGV[15] the amount
-- ARGV[16] … pairs: a counter's digit, its limit or '-'
--
-- Answers after the head: outcome, 1 if it is an earlier one's, 1 if the attempt owns the record, 2 if sums contain
-- it already or 3 if it is gone since, the counter that did not fit, 1 if a recall may help, 1 if the object was counted before, 1 if it is late, 1 more
-- than the counter that is exceeded or 0, view.

local refusal = refused(COUNTING)
if refusal then
  return refusal
end

local field, note_field, fp, day = ARGV[7], ARGV[8], ARGV[9], ARGV[10]
local intent, amount = ARGV[13], tonumber(ARGV[15])
local claim = member .. '.' .. ARGV[6]
ask(day, ARGV[11], {field, note_field})
local record = all.known[field]
local named = objects.is(field)
local beside = note_field ~= '' and all.known[note_field]
-- Whether this id was heard of with this object before.
local again = beside and beside.state == 'i'

local function finish(outcome, with)
  with = with or {}
  local whose = with.gone and 3 or with.settled and 2 or with.mine and 1 or 0
  return finish_with({FINE, 0, 0, now, outcome, with.replayed and 1 or 0, whose, with.counter or 0,
    with.recallable and 1 or 0, with.already and 1 or 0, with.late and 1 or 0, with.exceeds and with.exceeds + 1 or 0})
end

-- The digits of the charge.
local function asked_for()
  local counters = ''
  for i = 16, #ARGV, 2 do
    counters = counters .. ARGV[i]
  end
  return counters
end

-- Whether somebody was told that what this id asks for is done, in the lives that its counts have now. In a later
-- life it is asked anew.
local function is_told()
  return again and notes.is_told(beside) and not is_of_older_life(app, {era = beside.era, counters = asked_for()})
end

local function remember(number)
  if beside and not again then
    local is_its = intent == 'r' and number == '0'
    write_note(app, beside, note_field, fp, field, number, is_its and asked_for(), is_its and day)
  end
end

-- Judges the charge, but for what has its place. Answers the refusal, if it is one; or the counters, and which one is
-- exceeded: what exists is never refused.
local function judged(but)
  local counters, full, lent, incomplete = judge(app, gain, amount, 16, but)
  if incomplete then
    return finish(TAKEN.INCOMPLETE)
  end
  if lent and not full then
    starve(app)
  end
  if (full or lent) and intent ~= 'e' then
    if full and beside then
      write_refusal(app, beside, note_field, fp, str(full), day)
    elseif full and ARGV[12] == '1' then
      write_refusal(app, record, field, fp, str(full), day)
    end
    return finish(TAKEN.DENIED, {counter = full or lent, recallable = not full})
  end
  return nil, counters, full or lent
end

-- Writes the record, or refuses.
local function write()
  local refused_by, counters, exceeds = judged()
  if refused_by then
    return refused_by
  end
  local is_absent = named and (record.state ~= 'x' or objects.is_buried(app, field, tonumber(ARGV[16])))
  record.fp, record.number, record.groups, record.counters = fp, str(amount), is_absent and '1' or '', counters
  record.day, record.era, record.claims = day, generations(app, counters), ''
  -- A reservation is in nobody's sums.
  record.owner = intent ~= 'r' and claim or ''
  record.hold = intent == 'r' and ARGV[14] or ''
  record.id = intent == 'r' and note_field or ''
  add_claim(record, claim)
  holds.become(app, record, field, 'h', gain_of)
  again = false
  remember('1')
  return finish(TAKEN.ALLOWED, {mine = intent ~= 'r', exceeds = exceeds})
end

-- An object that is on its way: whoever asks for it meets the others here.
local function meet(adds_claim)
  if adds_claim and add_claim(record, claim) then
    record.changed = true
  end
  local already = not again or beside.number == '0'
  remember('0')
  return finish(TAKEN.ALLOWED, {replayed = again, mine = record.owner == claim, already = already})
end

-- One that is counted: nobody is to be told that this was answered. Told after its deletion, by a member that tells
-- all once more, it would be taken for a creation that the ledger forgot. Under its id it was, unless it is withdrawn.
local function meet_counted()
  local already = not again or beside.number == '0'
  remember('0')
  if beside and not is_told() then
    notes.meet(beside, claim, generations(app, asked_for()))
  end
  return finish(TAKEN.ALLOWED, {replayed = again, settled = true, already = already})
end

-- It was answered, and its object is gone since: that answer is given again, and nothing is counted. It goes out though
-- who was to be answered first may have gone: this is then the first answer.
local function repeat_told()
  if beside and notes.is_met(beside) then
    notes.meet(beside, claim, beside.era)
  end
  return finish(TAKEN.ALLOWED, {replayed = true, gone = true, already = beside and beside.number == '0'})
end

local function take_reserved()
  if intent ~= 'r' then
    -- It is what its creator says, who counts it as that: for what it was reserved as, it has its place.
    local refused_by, counters, exceeds = judged(record.counters)
    if refused_by then
      return refused_by
    end
    holds.recharge(app, record, field, counters, day, gain_of)
    holds.confirm(app, record, field, claim, holds.in_time(record), gain_of)
    remember('0')
    return finish(TAKEN.ALLOWED, {mine = true, exceeds = exceeds})
  end
  local mine = again and record.id == note_field
  if mine and record.state == 'h' and add_claim(record, claim) then
    record.changed = true
  end
  remember('0')
  return finish(TAKEN.ALLOWED, {replayed = mine or again, already = not mine})
end

local function take_named()
  if beside and beside.state ~= 'x' then
    local is_its = again and beside.owner == field or beside.state == 'd'
    if not is_its or beside.fp ~= fp then
      return finish(TAKEN.OTHER_CONTENT)
    end
    if beside.state == 'd' and intent ~= 'e' then
      return finish(TAKEN.DENIED, {replayed = true, counter = tonumber(beside.counters)})
    end
  end
  local is_told_before = is_told()
  local is_over = intent ~= 'r' and is_told_before
  if record.state == 'g' then
    return is_over and repeat_told() or finish(TAKEN.CONFIRMING)
  end
  -- What it had reserved is over, and what is there now is another's.
  if intent == 'r' and again and beside.number == '1' and (record.hold == '' or record.id ~= note_field) then
    again = false
  end
  if holds.is_open(record) then
    return is_over and repeat_told() or take_reserved()
  end
  if is_charged(record) then
    -- What is being confirmed is at least reserved: whoever reserves it as well need not keep it.
    return meet(intent ~= 'r' or record.state ~= 'k')
  end
  if record.state == 'c' or objects.kind_of(app, field, tonumber(ARGV[16])) then
    return meet_counted()
  end
  -- A copy of an attempt that was answered: nobody would own the unit.
  local is_copy = record.state == 'z' and record.hold == '' and listed(record.claims, claim .. '.')
  if is_over or is_copy then
    return repeat_told()
  end
  -- What it had reserved has ended, or became an object that is gone: the id holds nothing again.
  return is_told_before and finish(TAKEN.ENDED) or write()
end

local function take_own()
  local state = record.state
  if state == 'r' or state ~= 'x' and record.fp ~= fp then
    return finish(TAKEN.OTHER_CONTENT)
  end
  if state == 'i' then
    -- What was reserved without a name was confirmed with one.
    if intent ~= 'r' then
      return finish(TAKEN.OTHER_CONTENT)
    end
    local its, already = record_in(all, record.owner), record.number == '0'
    local is_over = its.id == field and (its.state == 'z' or its.state == 'f')
    local is_there = is_charged(its) or its.state == 'c' or objects.kind_of(app, record.owner, tonumber(ARGV[16]))
    if is_over or already and not is_there then
      return finish(TAKEN.ENDED)
    end
    -- Whoever is told that it is there meets those who create it.
    if already and its.state == 'h' and its.hold == '' and add_claim(its, claim) then
      its.changed = true
    end
    return finish(TAKEN.ALLOWED, {replayed = true, already = already})
  end
  if state == 'd' and intent ~= 'e' then
    return finish(TAKEN.DENIED, {replayed = true, counter = tonumber(record.counters)})
  end
  if record.hold ~= '' then
    if state == 'z' or state == 'f' then
      return finish(TAKEN.ENDED)
    end
    -- Claims of those who confirm it are told from others by its state.
    if state == 'h' and add_claim(record, claim) then
      record.changed = true
    end
    return finish(TAKEN.ALLOWED, {replayed = true})
  end
  local outlived = state == 'c' and is_of_older_life(app, record)
  if outlived and listed(record.claims, claim .. '.') then
    return finish(TAKEN.OUTLIVED)
  end
  if state == 'x' or state == 'd' or outlived then
    return write()
  end
  if add_claim(record, claim) then
    record.changed = true
  end
  return finish(TAKEN.ALLOWED, {replayed = true, mine = record.owner == claim})
end

if app.frozen then
  return finish(TAKEN.FROZEN)
end
if withdrawn(record, claim) then
  return finish(TAKEN.WITHDRAWN)
end
return (named and take_named or take_own)()
