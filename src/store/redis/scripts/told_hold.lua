-- What a member says of takes that name an object, reserve, or say what a reservation came to.

-- What becomes of an answer: a digit.
local told
do
  -- Whether a record is what was reserved under the id of an answer: an object may be another's reservation.
  local function is_reserved_as(record, field, said)
    return not objects.is(field) or record.id == said.id
  end

  local function is_counted(app, field, said)
    return objects.is(field) and objects.kind_of(app, field, tonumber(string.sub(said.counters, 1, 1)))
  end

  -- Whether an object that is not charged is known to have been, so that an answer of it is an old one: whoever was
  -- answered of what is charged has a claim to it. In a recovery that is not known, but of what sums contain.
  local function is_over(record, said, restating)
    if restating then
      return record.state == 'z' and record.hold == '' and (said.settled or said.contained)
    end
    return record.since ~= '0' and record.state ~= 'c'
  end

  -- A reservation that was answered stands. One that is not known here comes back: nobody's sums contain it.
  local function told_reserved(app, record, field, said, gain_of, restating)
    local is_other = not is_reserved_as(record, field, said) and (record.state == 'z' or record.state == 'f')
      and record.hold ~= ''
    if holds.is_open(record) then
      -- Whoever met another's reservation has nothing to say of it.
      if record.state == 'h' and is_reserved_as(record, field, said) then
        holds.stand(app, record, field, gain_of)
      end
    elseif record.state == 'x' or is_other then
      if is_counted(app, field, said) or objects.is(field) and is_over(record, said, restating) then
        return COUNTED
      end
      revive(app, record, said)
      record.hold, record.id = said.ends_hold, said.id
      holds.become(app, record, field, 's', gain_of)
    elseif listed(record.claims, said.claim .. '.') then
      -- It met what another was creating, and has said so: that does not go by an abort any more.
      drop_claim(record, said.claim)
      if record.state == 'h' then
        holds.become(app, record, field, 'p', gain_of)
      else
        settle_claims(app, record, field, gain_of)
      end
    elseif holds.ends(record) == 0 and record.hold ~= '' then
      record.hold, record.changed = string.gsub(record.hold, '^%d+', said.ends_hold), true
    end
    return COUNTED
  end

  -- One that ended stays so, whatever is still to come of it.
  local function told_ended(app, record, field, said, gain_of)
    local state = said.intent
    if record.state == 'x' then
      revive(app, record, said)
      record.hold, record.id = '0', said.id
      holds.become(app, record, field, state, gain_of)
    elseif holds.is_open(record) and is_reserved_as(record, field, said) then
      record.claims = ''
      holds.become(app, record, field, state, gain_of)
    end
    return COUNTED
  end

  -- A reservation that was made without a name, and confirmed with one, has moved to the object's record. Answers the
  -- record that is meant: one that was confirmed without the name as well stays where it is.
  local function told_moved(app, records, record, field, said, gain_of)
    local own = said.note ~= '' and record_in(records, said.note)
    if not own or own.hold == '' then
      return record, field
    end
    if own.state == 'p' or own.state == 'c' or own.state == 'z' then
      return own, said.note
    end
    local is_there = is_charged(record) or record.state == 'c'
    if not is_charged(record) then
      record.hold, record.id = own.hold, said.note
    end
    local counters, day = is_there and own.counters, is_there and own.day
    holds.become(app, own, said.note, 'x', gain_of)
    write_note(app, own, said.note, said.fp, field, is_there and '0' or '1', counters, day)
    return record, field
  end

  -- The note of an answer is restored where it is missing.
  local function restore_note(app, records, said, number)
    local beside = said.note ~= '' and objects.is(said.field) and record_in(records, said.note)
    if beside and (beside.state == 'x' or beside.state == 'd') then
      local is_its = said.intent == 'r' and number == '0'
      write_note(app, beside, said.note, said.fp, said.field, number, is_its and said.counters, is_its and said.day)
    end
  end

  -- An answer to who creates or reserves went out under its id: when the object is gone it is given again, and nothing
  -- is reserved again.
  local function note_told(app, records, said)
    local creates = said.intent == 'n' or said.intent == 'e' or said.intent == 'r'
    local beside = creates and said.note ~= '' and record_in(records, said.note)
    if beside and beside.state == 'i' and beside.owner == said.field and beside.fp == said.fp then
      notes.tell(beside, said.settled or generations(app, said.counters))
    end
  end

  -- What is answered of a reservation confirms it, whether it is known here or not.
  local function told_confirmed(app, record, field, said, gain_of, restating)
    local confirms = said.intent == 'c' or said.intent == 'l'
    local marks = not holds.how(record) and (record.hold ~= '' or confirms and is_nothing(record))
    local ack = answered(app, record, field, said, gain_of, restating)
    if marks and (is_charged(record) or record.state == 'c') then
      holds.mark(record, said.intent == 'l' and 'c' or '0')
      record.id = record.id == '' and objects.is(field) and said.id or record.id
      record.changed = true
    end
    return ack
  end

  local function told_named(app, record, field, said, gain_of, restating)
    -- It was deleted before this was told. Said again, since that answer may be lost, it is told so again, whatever
    -- the object has become since.
    if withdrawn(record, said.claim) then
      return GONE_OBJECT
    end
    if record.state == 'g' then
      if not listed(record.claims, said.claim .. '.') then
        return COUNTED
      end
      bury(record, said.claim)
      drop_claim(record, said.claim)
      settle_claims(app, record, field, gain_of)
      return GONE_OBJECT
    end
    -- A deletion that is in nobody's sums was stated before this.
    if restating and not said.settled and record.state == 'z' and record.hold == '' and record.groups ~= '' then
      bury(record, said.claim)
      record.changed = true
      return COUNTED
    end
    -- The claim stands at what was deleted: it speaks of that, and brings nothing back. Whose sums contain it has given it
    -- back.
    if record.state == 'z' and record.hold == '' and listed(record.claims, said.claim .. '.') then
      return COUNTED
    end
    -- What is counted by its name is not counted again; and what was deleted since does not come back.
    if not is_charged(record) and (is_over(record, said, restating) or is_counted(app, field, said)) then
      return COUNTED
    end
    -- Whoever was answered of what is charged now has a claim to it: this speaks of an earlier one of that name.
    if is_charged(record) and not restating and not listed(record.claims, said.claim .. '.')
      and not listed(record.claims, '*.*.') then
      return COUNTED
    end
    -- It was reserved and let go before it was created.
    if said.intent == 'n' or said.intent == 'e' then
      if record.state == 'z' or record.state == 'f' then
        record.state, record.hold, record.id = 'x', '', ''
      end
    end
    return told_confirmed(app, record, field, said, gain_of, restating)
  end

  local function told_hold(app, records, said, gain_of, restating)
    local intent = said.intent
    local record, field = meant_by(records, said.field)
    -- The client's id, where the record is an object's.
    said.id = said.note ~= '' and said.note or field ~= said.field and said.field or ''
    if intent == 'z' or intent == 'f' then
      return told_ended(app, record, field, said, gain_of)
    end
    if said.settled == '' and (intent == 'n' or intent == 'e') then
      restore_note(app, records, said, '1')
      note_told(app, records, said)
      return COUNTED
    end
    local was, ack = record.state, nil
    if intent == 'r' then
      -- What was confirmed or cancelled under the id alone, by somebody who did not know the name, stays there.
      if said.note ~= '' and record_in(records, said.note).hold ~= '' then
        return COUNTED
      end
      ack = told_reserved(app, record, field, said, gain_of, restating)
    else
      if intent == 'c' or intent == 'l' then
        record, field = told_moved(app, records, record, field, said, gain_of)
      end
      local tell = objects.is(field) and told_named or told_confirmed
      ack = tell(app, record, field, said, gain_of, restating)
    end
    restore_note(app, records, said, was == 'x' and record.state ~= 'x' and '1' or '0')
    note_told(app, records, said)
    return ack
  end

  function told(app, records, said, gain_of, restating)
    if said.refused ~= '-' then
      local at = said.note ~= '' and said.note or said.remembered and said.field
      local record = at and record_in(records, at)
      if record and record.state == 'x' then
        keep_refusal(app, record, at, said)
      end
      return COUNTED
    end
    if said.intent == 'a' then
      said.intent = nil
      if not said.settled then
        -- While members restate nobody can tell who was first: it is said again.
        return restating and COUNTED or told_alone(app, record_in(records, said.field), said.field, said, gain_of)
      end
    end
    if said.intent then
      return told_hold(app, records, said, gain_of, restating)
    end
    return answered(app, record_in(records, said.field), said.field, said, gain_of, restating)
  end
end
