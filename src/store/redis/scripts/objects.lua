-- Objects: what is counted may have a name, by which it is found again.
--
-- ...:t:APP is a hash: tK, how many of live counter K are tracked (named ones that are counted, and records of
-- named ones that are charged and not reserved); and for each set S: nS (its members), lS and pS (its shape). Sets 0, 1 and 2 are the
-- accounts, groups and AV rooms that are counted by name. 3 (accounts) and 4 (groups and rooms, which are one family) are
-- tombstones: what was deleted by name while nobody knew that name. Their buckets are ...:t:APP:S:I.
--
-- A record's field has what its place needs: byte 2, bits:member as in `buckets`, and the rest of its number.

local objects = {}
do
  local SETS = 4
  local opened = {}

  function objects.is(field)
    return string.byte(field) == 2
  end

  local function parts(field)
    local bits, member = string.match(field, '^\2(%d+):(%-?%d+):')
    return tonumber(bits), member
  end

  -- An app's names, read when they are first asked for.
  function objects.of(app)
    if app.objects then
      return app.objects
    end
    local o = hash(base .. 't:' .. app.id)
    local f = redis.call('HMGET', o.key, 't0', 't1', 't2', 'n0', 'l0', 'p0', 'n1', 'l1', 'p1', 'n2', 'l2', 'p2',
      'n3', 'l3', 'p3', 'n4', 'l4', 'p4')
    for k = 0, 2 do
      o[k] = num(f[k + 1])
    end
    o.sets = {}
    for s = 0, SETS do
      o.sets[s] = {name = s, buckets = o.key .. ':' .. s .. ':', k = 0, members = num(f[3 * s + 4]),
        l = num(f[3 * s + 5]), p = num(f[3 * s + 6]), told = {}}
    end
    app.objects, opened[#opened + 1] = o, o
    return o
  end

  local function has(set, field)
    if set.told[field] ~= nil then
      return set.told[field]
    end
    if set.members == 0 then
      return false
    end
    local bits, member = parts(field)
    set.told[field] = redis.call('SISMEMBER', buckets.key_of(set, bits), member) == 1
    return set.told[field]
  end

  local function resize(o, set, members)
    set.members = members
    note(o, 'n' .. set.name, str(members))
    if members == 0 then
      -- All its buckets are empty, and Redis keeps no empty sets.
      set.l, set.p = 0, 0
      note(o, 'l' .. set.name, '0')
      note(o, 'p' .. set.name, '0')
    end
  end

  -- Whether it was not there.
  local function insert(o, set, field)
    if has(set, field) then
      return false
    end
    local bits, member = parts(field)
    put('SADD', buckets.key_of(set, bits), member)
    set.told[field] = true
    resize(o, set, set.members + 1)
    return true
  end

  local function remove(o, set, field)
    if has(set, field) then
      local bits, member = parts(field)
      put('SREM', buckets.key_of(set, bits), member)
      set.told[field] = false
      resize(o, set, set.members - 1)
    end
  end

  local function track(o, k, amount)
    if amount ~= 0 then
      o[k] = math.max(0, o[k] + amount)
      note(o, 't' .. k, str(o[k]))
    end
  end

  local function track_all(o, counters, amount)
    for digit in string.gmatch(counters, '[012]') do
      track(o, tonumber(digit), amount)
    end
  end

  -- As what an object is counted by its name, or nil. `own`: what it is, or another of its family.
  function objects.kind_of(app, field, own)
    local o = objects.of(app)
    if own == 0 then
      return has(o.sets[0], field) and 0 or nil
    end
    return has(o.sets[1], field) and 1 or has(o.sets[2], field) and 2 or nil
  end

  -- What is true of the names when an object's record has changed its state. `was_tracked`, `is_tracked`: whether
  -- it was, and is, charged and not reserved.
  function objects.follow(app, record, field, was_tracked, is_tracked)
    local o = objects.of(app)
    local was = was_tracked and tonumber(record.number) or 0
    local is = is_tracked and tonumber(record.number) or 0
    if record.state == 'c' and insert(o, o.sets[tonumber(string.sub(record.counters, 1, 1))], field) then
      is = tonumber(record.number)
    end
    track_all(o, record.counters, is - was)
    if is > was or is_charged(record) then
      remove(o, o.sets[string.sub(record.counters, 1, 1) == '0' and 3 or 4], field)
    end
  end

  -- One that was counted without a name has this one now.
  function objects.name(app, field, k, groups_follow)
    local o = objects.of(app)
    insert(o, o.sets[k], field)
    track(o, k, 1)
    if groups_follow and k == 2 then
      track(o, 1, 1)
    end
  end

  -- One that is counted by its name is no more.
  function objects.forget(app, field, k, groups_follow)
    local o = objects.of(app)
    remove(o, o.sets[k], field)
    track(o, k, -1)
    if groups_follow and k == 2 then
      track(o, 1, -1)
    end
  end

  -- How many of what is there have no name. What is reserved does not exist yet.
  function objects.untracked(app, k, there)
    return math.max(0, there - app[k].reserved - objects.of(app)[k])
  end

  function objects.is_buried(app, field, k)
    return has(objects.of(app).sets[k == 0 and 3 or 4], field)
  end

  function objects.bury(app, field, k)
    local o = objects.of(app)
    insert(o, o.sets[k == 0 and 3 or 4], field)
  end

  -- Nothing is left of which a second deletion might take one.
  function objects.clear_tombs(app, k)
    local o = objects.of(app)
    local set = o.sets[k == 0 and 3 or 4]
    if set.members > 0 then
      local command = buckets.keys(set)
      table.insert(command, 1, 'DEL')
      put_all(command)
      resize(o, set, 0)
      set.told = {}
    end
  end

  function objects.save()
    for i = 1, #opened do
      save(opened[i])
    end
  end

  -- Splits what has grown too full. It runs after seal(), on what is really there.
  function objects.grow(full)
    for i = 1, #opened do
      for s = 0, SETS do
        local set, l, p = opened[i].sets[s], opened[i].sets[s].l, opened[i].sets[s].p
        set.full = full
        while buckets.are_full(set, set.members) do
          buckets.split(set)
        end
        if set.l ~= l or set.p ~= p then
          redis.call('HSET', opened[i].key, 'l' .. s, str(set.l), 'p' .. s, str(set.p))
        end
      end
    end
  end
end
