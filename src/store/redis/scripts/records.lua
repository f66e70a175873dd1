-- The records of one app that a step speaks of, each read once and written once.

local function read_into(all, fields)
  for from = 1, #fields, WORDS_MAX do
    local raws = redis.call('HMGET', all.key, unpack(fields, from, math.min(from + WORDS_MAX - 1, #fields)))
    for i = 1, #raws do
      local field = fields[from + i - 1]
      if not all.known[field] then
        all.known[field] = unpack_record(raws[i])
        all.fields[#all.fields + 1] = field
      end
    end
  end
end

local function read_records(key, fields)
  local all = {key = key, known = {}, fields = {}}
  read_into(all, fields)
  return all
end

-- One of them, whether it was read yet or not.
local function record_in(all, field)
  if not all.known[field] then
    read_into(all, {field})
  end
  return all.known[field]
end

-- The record that is meant by a field: a note means its object's.
local function meant_by(all, field)
  local record = record_in(all, field)
  if record.state == 'i' then
    return record_in(all, record.owner), record.owner
  end
  return record, field
end

local function save_records(all)
  local changed = {'HSET', all.key}
  for i = 1, #all.fields do
    local field = all.fields[i]
    local record = all.known[field]
    if record.changed then
      changed[#changed + 1] = field
      changed[#changed + 1] = pack_record(record)
    end
  end
  if changed[3] then
    put_all(changed)
  end
end
