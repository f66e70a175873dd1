-- Names objects that are counted already, without a name; counts nothing.
--
-- KEYS[2] the app, KEYS[3] its records
-- ARGV[6]  how many objects a bucket holds on average at most
-- ARGV[7]  the digit of the resource's counter
-- ARGV[8] … the objects' fields
--
-- Answers after the head: a digit for each (0 named by this, 1 known before, 2 missing: all that are counted have
-- names).

local refusal = refused(COUNTING)
if refusal then
  return refusal
end

local own = tonumber(ARGV[7])
local fields = {}
for i = 8, #ARGV do
  fields[#fields + 1] = ARGV[i]
end
local app = read_app(KEYS[2])
local records = read_records(KEYS[3], fields)
local there = shown(app[own]) + unreported(app[own])

local function adopt(field)
  local record = record_in(records, field)
  if is_charged(record) and not holds.is_open(record) or record.state == 'c' or objects.kind_of(app, field, own) then
    return '1'
  end
  if objects.untracked(app, own, there) == 0 then
    return '2'
  end
  objects.name(app, field, own, true)
  return '0'
end

local adopted = {}
for i = 1, #fields do
  adopted[i] = adopt(fields[i])
end
save(app)
objects.save()
local reply = seal({FINE, 0, 0, now, table.concat(adopted)})
if not reply.err then
  objects.grow(tonumber(ARGV[6]))
end
return reply
