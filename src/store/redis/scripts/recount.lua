-- Sets a count to the truth, in a new life of the counter, and ends the freeze.
--
-- KEYS[2]  the app, KEYS[3] the month of today
-- ARGV[6]  the digit of the resource's counter, ARGV[7] its name
-- ARGV[8]  the truth, ARGV[9] the token
-- ARGV[10] today's number
-- ARGV[11] who, ARGV[12] why
-- ARGV[13] … the members that are present and have not acknowledged the freeze
--
-- What members counted until then is in the truth: their sums stay, and how much of them it contains is their
-- offset. Who did not acknowledge the freeze is of the new life only when it says that it has heard of it: also
-- one that has told nothing yet, and may have counted something. It gets an entry of the old life.
--
-- Answers after the head: 1 if it was done, the count before, the generation, what records hold on top. It is
-- done once: who asks again is answered 0.

local refusal = refused(ALWAYS)
if refusal then
  return refusal
end
local app, k = read_app(KEYS[2]), tonumber(ARGV[6])
local token = tonumber(ARGV[9])
if app.frozen ~= token then
  thaw(app)
  save(app)
  return seal({FINE, 0, 0, now, 0, 0, 0, 0})
end
read_bases(app)
local c = app[k]
local from, before = shown(c), counted(c)
local all = redis.call('HGETALL', app.key)
local acknowledged, entries, forget = {}, {}, {'HDEL', app.key, 'fz'}
for i = 1, #all, 2 do
  local letter, inc = string.match(all[i], '^(%a%d?):(%x+)$')
  if letter == 'q' then
    acknowledged[inc] = tonumber(all[i + 1]) == token
    forget[#forget + 1] = all[i]
  elseif letter == 'm' .. k then
    entries[inc] = all[i + 1]
  end
end

for i = 13, #ARGV do
  local inc = ARGV[i]
  if not acknowledged[inc] and not entries[inc] and not redis.call('HGET', KEYS[1], 'x:' .. inc) then
    entries[inc] = pack_entry({gen = c.gen, offset = 0, consumed = 0, released = 0, taken = 0, given = 0, granted = 0,
      done = 0})
  end
end
local gen = math.max(now, c.gen + 1)
set(c, 'gen', gen)
set(c, 'u', tonumber(ARGV[8]))
set(c, 'out', 0)
set(c, 'back', 0)
write_base(app, k, this_version(), tonumber(ARGV[8]))
save_version()
note(app, 'n' .. k, str(epoch))
for inc, raw in pairs(entries) do
  local e = read_entry(raw)
  e.offset, e.done = net(e), math.max(e.done, e.granted)
  if acknowledged[inc] then
    e.gen = gen
  end
  note(app, 'm' .. k .. ':' .. inc, pack_entry(e))
end
if k == 1 and counted(c) ~= before then
  months.book(app, KEYS[3], ARGV[10], before)
  months.save()
end
put_all(forget)
put_all(app.writes)
record_audit(ARGV[11], 'recount', app.id, ARGV[7], str(from), ARGV[8], ARGV[12])
return seal({FINE, 0, 0, now, 1, from, gen, c.held})
