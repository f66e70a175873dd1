-- The register of apps, beside the first shard's header.
--
-- KEYS[2]  the register, a hash: APP a row, seven words with byte 31 between them: the app, its version, its place in the
--          order, 1 if it is deleted, its life, who said so, what holds or held (JSON)
-- KEYS[3]  its order: apps by place, so that what is new is found; the header's rt is the highest place
--
-- Of two rows of an app the one with the higher version is true, whatever was forgotten: versions follow the clock.

local function row_of(app)
  local words = {}
  for word in string.gmatch((redis.call('HGET', KEYS[2], app) or '') .. '\31', '([^\31]*)\31') do
    words[#words + 1] = word
  end
  return {version = num(words[2] ~= '' and words[2] or nil), deleted = words[4] == '1', life = words[5] or '0',
    spec = words[7] or ''}
end

local place = num(redis.call('HGET', KEYS[1], 'rt'))

-- Writes a row and answers it.
local function write_row(app, version, deleted, life, by, spec)
  place = math.max(place + 1, now)
  local row = table.concat({app, str(version), str(place), deleted and '1' or '0', life, by, spec}, '\31')
  put('HSET', KEYS[2], app, row)
  put('ZADD', KEYS[3], str(place), app)
  head('rt', str(place))
  return row
end
