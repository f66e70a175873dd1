-- Releases: gives back what is charged, at most as much as is, once for each id. Those that name an object are
-- `release_object`'s.
--
-- KEYS[2] the app, KEYS[3] its records, KEYS[4] the day's gain, KEYS[5] the shard's fold queue,
-- KEYS[6] the day's month
-- ARGV[6]  the record's field
-- ARGV[7]  the fingerprint
-- ARGV[8]  the day's number
-- ARGV[9]  when the day's gain goes, in seconds
-- ARGV[10] the amount
-- ARGV[11] the digit of the resource's own counter
-- ARGV[12] 1 if groups, and the day's gain, follow
--
-- Answers after the head: outcome, 1 if it is an earlier one's, 1 if the caller owns it, how many were given
-- back, how many groups with them, view.

local FOLD = 4

local refusal = refused(COUNTING)
if refusal then
  return refusal
end

local field, fp, day, own = ARGV[6], ARGV[7], ARGV[8], tonumber(ARGV[11])
local app = read_app(KEYS[2])
local gain = read_gain(KEYS[4], ARGV[9])
local record = read_record(KEYS[3], field)

local function finish(outcome, replayed, mine, number, groups)
  thaw(app)
  save(app)
  save(gain.hash)
  months.save()
  local reply = seal(show({FINE, 0, 0, now, outcome, replayed, mine or 0, number or 0, groups or 0}, app, gain))
  if #writes > 0 and not reply.err then
    fold(KEYS[5], FOLD)
  end
  return reply
end

if app.frozen then
  return finish(FROZEN, 0)
end
if record.state ~= 'x' then
  if record.state ~= 'r' or record.fp ~= fp then
    return finish(OTHER_CONTENT, 0)
  end
  local mine, groups = given_before(app, record, own)
  return finish(RELEASED, 1, mine and 1 or 0, tonumber(record.number), groups)
end

-- Of what nobody has told again it cannot be said how much there is to give back.
if is_incomplete(app, own) or ARGV[12] == '1' and is_incomplete(app, 1) then
  list(app)
  return finish(INCOMPLETE, 0)
end

local groups_follow = ARGV[12] == '1'
local before = counted(app[1])
local number, groups = give_back(app, gain, record, tonumber(ARGV[10]), own, groups_follow)
if counted(app[1]) ~= before then
  months.book(app, KEYS[6], day, before)
end
write_release(record, fp, day, number, groups, own, groups_follow)
put('HSET', KEYS[3], field, pack_record(record))
return finish(RELEASED, 0, 1, number, groups)
