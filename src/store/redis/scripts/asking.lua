-- What the steps share that speak of objects and reservations: what they read, and how they end.

local FOLD = 4

local app, gain, gains, all

-- Reads what the step speaks of: `said` are the fields of records, '' where there is none.
local function ask(day, ends, said)
  app = read_app(KEYS[2])
  gain = read_gain(KEYS[4], ends)
  gains = {[day] = gain}
  local fields = {}
  for i = 1, #said do
    if said[i] ~= '' then
      fields[#fields + 1] = said[i]
    end
  end
  all = read_records(KEYS[3], fields)
end

-- The gain of a record's day, which may be another than the caller's. One that is not there has gone.
local function gain_of(day)
  if not gains[day] then
    local other = read_gain(string.gsub(KEYS[4], '%-?%d+$', day), '0')
    other.hash.over = other.hash.fresh
    gains[day] = other
  end
  return gains[day]
end

-- Writes all, and ends with `answer` and the view. `full`: what a bucket holds at most, where sets of objects
-- may have grown.
local function finish_with(answer, full)
  save_records(all)
  thaw(app)
  save(app)
  for _, of_day in pairs(gains) do
    save(of_day.hash)
  end
  objects.save()
  save_rest(KEYS[5])
  local reply = seal(show(answer, app, gain))
  if #writes > 0 and not reply.err then
    fold(KEYS[5], FOLD)
    if full then
      objects.grow(full)
    end
  end
  return reply
end

-- What becomes of a take.
local TAKEN = {ALLOWED = 0, DENIED = 1, OTHER_CONTENT = 2, WITHDRAWN = 3, FROZEN = 4, INCOMPLETE = 5, OUTLIVED = 6,
  NO_HOLD = 7, ENDED = 8, CONFIRMING = 9}
