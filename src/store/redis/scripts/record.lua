-- Records: what the ledger knows of one request id.
--
-- An app's records are one hash, field: the id, or byte 1 and a sidecar's own name for the call.
-- A value is 'state|fingerprint|number|counters|day|since|claims|tombstones':
--   h held     number: the amount; counters: a digit for each part
--   c counted  the same, but aborts no longer free it
--   d denied   counters: the one that did not fit
--   r released number: how many were given back
--   x nothing  only tombstones
-- A claim is INCARNATION.ATTEMPT.GENERATION, a tombstone INCARNATION.ATTEMPT; both comma separated,
-- each one with a comma behind it. `since` is when the state was entered, in ms.
--
-- The shard's fold queue is a list of 'APP FIELD' in the order in which records came to rest. What
-- rests longer than the id window is folded: the counts have it already, so the record just goes.

-- The most claims on one held record: from the next on it stays charged whatever is withdrawn. The
-- most tombstones: the oldest attempts have arrived or never will.
local CLAIMS_MAX, TOMBS_MAX = 64, 64
local WINDOW_MS = 600000
-- Clocks of members and the moment between two steps: nothing is folded on the edge.
local FOLD_MARGIN_MS = 60000

local function parse_record(raw)
  local r = {}
  r.state, r.fp, r.number, r.counters, r.day, r.since, r.claims, r.tombs =
    string.match(raw, '^(%a)|(%x*)|(%d*)|(%d*)|(%-?%d*)|(%d*)|([^|]*)|([^|]*)$')
  if not r.state then
    error({err = 'DAMAGED a record reads "' .. raw .. '"'})
  end
  return r
end

local function unpack_record(raw)
  if raw then
    return parse_record(raw)
  end
  return {state = 'x', fp = '', number = '0', counters = '', day = '', since = '0', claims = '', tombs = ''}
end

local function read_record(key, field)
  return unpack_record(redis.call('HGET', key, field))
end

local function pack_record(r)
  return table.concat({r.state, r.fp, r.number, r.counters, r.day, r.since, r.claims, r.tombs}, '|')
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
local function add_claim(r, claim, gen)
  if count_of(r.claims) >= CLAIMS_MAX then
    claim, gen = '*', '*'
  end
  if listed(r.claims, claim .. '.') then
    return false
  end
  r.claims = r.claims .. claim .. '.' .. gen .. ','
  return true
end

-- Takes one claim away, if it is there.
local function drop_claim(r, claim)
  local from = listed(r.claims, claim .. '.')
  if from then
    local to = string.find(r.claims, ',', from, true)
    r.claims = string.sub(r.claims, 1, from - 1) .. string.sub(r.claims, to + 1)
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

-- Notes that a record came to rest, so that it is folded when its time has come.
local at_rest = {}

local function rest(r, app, field)
  r.since = str(now)
  at_rest[#at_rest + 1] = app .. ' ' .. field
end

local function save_rest(queue)
  if #at_rest > 0 then
    put('RPUSH', queue, unpack(at_rest))
  end
end

-- Folds up to `most` records of the shard. It runs after seal(), on what is really there, and never
-- fails a step that is done: whatever it meets, the entry goes and the rest waits for the next step.
local function fold(queue, most)
  local entries = redis.pcall('LRANGE', queue, 0, most - 1)
  if entries.err then
    return
  end
  local base = string.sub(KEYS[1], 1, -2)
  local done = 0
  for i = 1, #entries do
    local app, field = string.match(entries[i], '^(%d+) (.*)$')
    local raw = app and redis.pcall('HGET', base .. 'r:' .. app, field)
    if type(raw) == 'string' then
      local state, since = string.match(raw, '^(%a)|[^|]*|[^|]*|[^|]*|[^|]*|(%d*)|')
      -- A record that is held again gets another entry when it comes to rest.
      if state and state ~= 'h' then
        if num(since) + WINDOW_MS + FOLD_MARGIN_MS > now then
          break
        end
        redis.pcall('HDEL', base .. 'r:' .. app, field)
      end
    end
    done = i
  end
  if done > 0 then
    redis.pcall('LTRIM', queue, done, -1)
  end
end
