-- Records: what the ledger knows of one request id.
--
-- An app's records are one hash, field: the id; or byte 1 and a sidecar's own name for the call; or byte 2 and the
-- number of an object, see `objects`. A value is
-- 'state|fingerprint|number|groups|counters|day|since|era|owner|claims|tombstones', and of a reservation '|hold|id'
-- behind it, see `hold`; id: the client's, where the record is an object's:
--   h held     charged; number: the amount; counters: a digit for each part; era: the generations of the
--              live ones; groups: 1 if its object was known not to be there before
--   p pinned   the same, but it was answered: aborts no longer free it
--   c counted  the same, but it is in some member's sums and charged no more
--   d denied   counters: the one that did not fit
--   r released number: how many were given back, groups: how many groups with them; era: the epoch in
--              whose `back` they are, and the generations of the resource and of the groups; or nothing,
--              once they are in the owner's sums, also where the owner stated it to a shard that forgot
--   s reserved charged; a reservation (an h with a hold) that was answered: no claims, aborts do not free it
--   k being    charged; a reservation that is being confirmed: the claims are of those who confirm it. Without any
--              it is an s again
--   z ended    a reservation that was cancelled, or (without a hold) an object that was deleted; groups: 1 if nobody's
--              sums contain that, as was stated to a shard that forgot
--   f lapsed   a reservation that expired and was freed
--   g deleted  an object that was deleted before the ledger heard that its creation was answered; not charged. Those
--              who claim it are told so when they report it
--   i note     under a client's id, of an object's record; see `notes` in `hold`
--   x nothing  only tombstones
-- The owner is who adds the amount to its sums: a claim, or the incarnation that released. A claim is
-- INCARNATION.ATTEMPT.EPOCH, the epoch being the one in which it was last heard of, a tombstone
-- INCARNATION.ATTEMPT; both comma separated, each one with a comma behind it. `since` is when the state was
-- entered, in ms.
--
-- What is charged is also named in a set of its own, ...:o:APP.
-- The shard's fold queue, ...:f, is a list of 'APP FIELD' in the order in which records came to rest. What
-- rests longer than the id window is folded: members' sums have it already, so the record just goes.

-- The most claims on one record: from the next on it stays charged whatever is withdrawn. The
-- most tombstones: the oldest attempts have arrived or never will.
local CLAIMS_MAX, TOMBS_MAX = 64, 64
local WINDOW_MS = 600000
-- Clocks of members and the moment between two steps: nothing is folded on the edge.
local FOLD_MARGIN_MS = 60000

local function parse_record(raw)
  local r = {}
  local more
  r.state, r.fp, r.number, r.groups, r.counters, r.day, r.since, r.era, r.owner, r.claims, r.tombs, more =
    string.match(raw, '^(%a)|(%x*)|(%d*)|(%d*)|(%d*)|(%-?%d*)|(%d*)|([%d ]*)|([^|]*)|([^|]*)|([^|]*)(.*)$')
  r.hold, r.id = '', ''
  if more and more ~= '' then
    r.hold, r.id = string.match(more, '^|([%d c]*)|(.*)$')
  end
  if not r.state or not r.hold then
    error({err = 'DAMAGED a record reads "' .. raw .. '"'})
  end
  return r
end

local function unpack_record(raw)
  if raw then
    return parse_record(raw)
  end
  return {state = 'x', fp = '', number = '0', groups = '', counters = '', day = '', since = '0', era = '',
    owner = '', claims = '', tombs = '', hold = '', id = ''}
end

local function read_record(key, field)
  return unpack_record(redis.call('HGET', key, field))
end

local function pack_record(r)
  local words = {r.state, r.fp, r.number, r.groups, r.counters, r.day, r.since, r.era, r.owner, r.claims, r.tombs}
  if r.hold ~= '' then
    words[12], words[13] = r.hold, r.id
  end
  return table.concat(words, '|')
end

-- Where a comma-ended list has an entry that begins with `entry`, or nil.
local function listed(list, entry)
  return string.find(',' .. list, ',' .. entry, 1, true)
end

local function count_of(list)
  local _, n = string.gsub(list, ',', '')
  return n
end

-- Adds a claim; false if it was there. One too many to follow stands for all that come: it is
-- nobody's, so that nobody withdraws it.
local function add_claim(r, claim)
  if listed(r.claims, claim .. '.') then
    return false
  end
  if count_of(r.claims) >= CLAIMS_MAX then
    claim = '*.*'
    if listed(r.claims, claim .. '.') then
      return false
    end
  end
  r.claims = r.claims .. claim .. '.' .. str(epoch) .. ','
  return true
end

local function strike(r, claim)
  local from = listed(r.claims, claim .. '.')
  if from then
    local to = string.find(r.claims, ',', from, true)
    r.claims = string.sub(r.claims, 1, from - 1) .. string.sub(r.claims, to + 1)
  end
end

-- Notes that a claim was heard of in this epoch.
local function hear_claim(r, claim)
  if not listed(r.claims, claim .. '.' .. str(epoch) .. ',') then
    strike(r, claim)
    add_claim(r, claim)
  end
end

-- Takes one claim away, if it is there.
local function drop_claim(r, claim)
  strike(r, claim)
  if r.owner == claim then
    r.owner = ''
  end
end

local function withdrawn(r, claim)
  return listed(r.tombs, claim .. ',')
end

local function bury(r, claim)
  r.tombs = r.tombs .. claim .. ','
  if count_of(r.tombs) > TOMBS_MAX then
    r.tombs = string.gsub(r.tombs, '^[^,]*,', '')
  end
end

local function is_charged(r)
  return r.state == 'h' or r.state == 'p' or r.state == 's' or r.state == 'k'
end

-- Charges a record to its counters, or takes the charge off. `gain_of` finds the gain of a day.
local function charge(app, record, sign, gain_of)
  local amount = sign * tonumber(record.number)
  for digit in string.gmatch(record.counters, '%d') do
    local c = digit == '3' and gain_of(record.day, record.ends) or app[tonumber(digit)]
    set(c, 'held', c.held + amount)
  end
end

-- Notes that a record is charged, or no more.
local function open_record(app, field)
  put('SADD', base .. 'o:' .. app.id, field)
end

local function close_record(app, field)
  put('SREM', base .. 'o:' .. app.id, field)
end

-- The generation of the first counter of a charge.
local function generation(app, counters)
  return app[tonumber(string.sub(counters, 1, 1))].gen
end

-- The generations of the live counters of a charge.
local function generations(app, counters)
  local all = {}
  for digit in string.gmatch(counters, '[012]') do
    all[#all + 1] = str(app[tonumber(digit)].gen)
  end
  return table.concat(all, ' ')
end

-- Whether one of a record's counters was recounted since its charge was decided: of a room that nobody heard of
-- the groups lack it as the rooms do.
local function is_of_older_life(app, record)
  local next_era = string.gmatch(record.era, '%d+')
  for digit in string.gmatch(record.counters, '[012]') do
    if num(next_era()) < app[tonumber(digit)].gen then
      return true
    end
  end
  return false
end

-- Notes that a record came to rest, so that it is folded when its time has come.
local at_rest = {}

local function rest(r, app, field)
  r.since = str(now)
  at_rest[#at_rest + 1] = app.id .. ' ' .. field
end

local function save_rest(queue)
  if #at_rest > 0 then
    local command = {'RPUSH', queue}
    for i = 1, #at_rest do
      command[2 + i] = at_rest[i]
    end
    put_all(command)
  end
end

-- Whether a note's object is reserved still: its reservation is found by the note.
local function notes_reservation(key, r)
  local raw = r.state == 'i' and redis.pcall('HGET', key, r.owner)
  local read, target = pcall(parse_record, type(raw) == 'string' and raw or '')
  return read and is_charged(target) and target.hold ~= ''
end

-- Folds up to `most` records of the shard. It runs after seal(), on what is really there, and never
-- fails a step that is done: whatever it meets, the entry goes and the rest waits for the next step.
local function fold(queue, most)
  local entries = redis.pcall('LRANGE', queue, 0, most - 1)
  if entries.err then
    return
  end
  local done = 0
  for i = 1, #entries do
    local app, field = string.match(entries[i], '^(%d+) (.*)$')
    local key = base .. 'r:' .. (app or '')
    local raw = app and redis.pcall('HGET', key, field)
    if type(raw) == 'string' then
      local read, r = pcall(parse_record, raw)
      -- A record that is charged again, or whose release is in `back` still, or that somebody is to be told of,
      -- gets another entry when it comes to rest.
      if read and not is_charged(r) and (r.state ~= 'r' or r.era == '') and r.state ~= 'g' then
        if num(r.since) + WINDOW_MS + FOLD_MARGIN_MS > now then
          break
        end
        if notes_reservation(key, r) then
          redis.pcall('RPUSH', queue, entries[i])
        else
          redis.pcall('HDEL', key, field)
        end
      end
    end
    done = i
  end
  if done > 0 then
    redis.pcall('LTRIM', queue, done, -1)
  end
end
