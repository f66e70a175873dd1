-- Reservations: records that are charged and in nobody's sums, until somebody says what they came to.
--
-- A record's `hold` is when it expires, in ms (0: that is not known any more), and once it was confirmed how: ' 0' in
-- time, ' 1' late, ' c' counted by the app's rules. Open is one that is neither confirmed nor ended: the counters'
-- `reserved` have it, and ...:e:APP lists it, a sorted set of request ids by when they expire.

local holds = {}
do
  function holds.is_open(r)
    return r.hold ~= '' and (r.state == 's' or r.state == 'h')
  end

  function holds.ends(r)
    return num(string.match(r.hold, '^%d+'))
  end

  function holds.how(r)
    return string.match(r.hold, ' (.)$')
  end

  -- Notes how it was confirmed, or that it is not.
  function holds.mark(r, how)
    r.hold = str(holds.ends(r)) .. (how and ' ' .. how or '')
  end

  local function reserve(app, record, field, sign, gain_of)
    local amount = sign * tonumber(record.number)
    for digit in string.gmatch(record.counters, '%d') do
      local c = digit == '3' and gain_of(record.day, record.ends) or app[tonumber(digit)]
      set(c, 'reserved', math.max(0, c.reserved + amount))
    end
    local id = record.id ~= '' and record.id or string.byte(field) > 2 and field
    if id and sign > 0 then
      put('ZADD', base .. 'e:' .. app.id, str(holds.ends(record)), id)
    elseif id then
      put('ZREM', base .. 'e:' .. app.id, id)
    end
  end

  -- Enters a state, with all that follows of it: the charge, what is reserved, the names, the fold queue.
  function holds.become(app, record, field, state, gain_of)
    local was_charged, was_open = is_charged(record), holds.is_open(record)
    record.state, record.changed = state, true
    local charged, open = is_charged(record), holds.is_open(record)
    if charged ~= was_charged then
      charge(app, record, charged and 1 or -1, gain_of)
      if charged then
        open_record(app, field)
      else
        close_record(app, field)
      end
    end
    if open ~= was_open then
      reserve(app, record, field, open and 1 or -1, gain_of)
    end
    if objects.is(field) then
      objects.follow(app, record, field, was_charged and not was_open, charged and not open)
    end
    if not charged and state ~= 'g' then
      rest(record, app, field)
    elseif charged and not was_charged then
      record.since = str(now)
    end
  end

  -- Whoever says first that it came to be owns the unit. Those who reserved it have had their answer, or ask again.
  function holds.confirm(app, record, field, claim, how, gain_of)
    holds.become(app, record, field, 'k', gain_of)
    holds.mark(record, how)
    record.claims, record.owner, record.era = '', claim, generations(app, record.counters)
    add_claim(record, claim)
  end

  -- A reservation stands, by whoever's word.
  function holds.stand(app, record, field, gain_of)
    record.claims, record.owner = '', ''
    holds.mark(record, nil)
    holds.become(app, record, field, 's', gain_of)
  end

  -- What is charged is another kind of thing than was thought: a room, say, that is called a group.
  function holds.recharge(app, record, field, counters, day, gain_of)
    if record.counters == counters then
      return
    end
    local state = record.state
    holds.become(app, record, field, 'x', gain_of)
    if not string.find(record.counters, '3', 1, true) then
      record.day = day
    end
    record.counters, record.era = counters, generations(app, counters)
    holds.become(app, record, field, state, gain_of)
  end

  -- The object is deleted, and whoever was to hear of it has. Whoever says once more that it was created, or deleted,
  -- is late.
  function holds.is_deleted(app, record, field, gain_of)
    record.hold, record.id, record.owner, record.era, record.groups = '', '', '', '', ''
    holds.become(app, record, field, 'z', gain_of)
  end

  -- How a reservation is confirmed by now: late is what comes after its time.
  function holds.in_time(record)
    return now > holds.ends(record) and '1' or '0'
  end
end

-- Notes stand under a client's id for the record of an object: state i, the fingerprint, number 1 if this id
-- created or reserved it and 0 if it was there already, owner: the object's field. Where it was to be reserved, and was
-- there: counters and day, as they would have been charged. Where it was to be created, groups: 1 if somebody was told
-- that this is done; else claims: attempts that met it counted, and are told so unless they are withdrawn; era: the lives
-- in which it was.
local function write_note(app, record, field, fp, target, number, counters, day)
  record.state, record.fp, record.number, record.owner = 'i', fp, number, target
  record.groups, record.counters, record.day, record.era = '', counters or '', day or '', ''
  record.claims, record.hold, record.id, record.changed = '', '', '', true
  rest(record, app, field)
end

local notes = {}
do
  function notes.is_met(note)
    return note.groups == '' and note.claims ~= ''
  end

  function notes.is_told(note)
    return note.groups == '1' or notes.is_met(note)
  end

  -- The answer of an attempt went out.
  function notes.tell(note, era)
    if note.groups ~= '1' or note.era ~= era then
      note.groups, note.era, note.claims, note.changed = '1', era, '', true
    end
  end

  -- What an attempt asks for is counted already: the ledger hears no more of it than that it is withdrawn.
  function notes.meet(note, claim, era)
    note.groups, note.era, note.changed = '', era, true
    add_claim(note, claim)
  end

  function notes.withdraw(note, claim)
    if note.state == 'i' and listed(note.claims, claim .. '.') then
      strike(note, claim)
      note.changed = true
    end
  end
end
