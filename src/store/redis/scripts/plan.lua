-- The plans that an app had: pl in its hash, 'DAY NAME' for each change, comma separated, the oldest first.

local plans = {}

-- Of one day the last change counts, and what changes nothing is none. The oldest go.
function plans.note(app, day, name)
  local PLANS_MAX = 64
  local all, last = {}, nil
  for from, of in string.gmatch(redis.call('HGET', app.key, 'pl') or '', '(%-?%d+) ([^,]+)') do
    all[#all + 1] = {from, of}
  end
  last = all[#all]
  if last and last[2] == name then
    return
  end
  if last and tonumber(last[1]) >= tonumber(day) then
    day = last[1]
    all[#all] = nil
    last = all[#all]
  end
  if not last or last[2] ~= name then
    all[#all + 1] = {day, name}
  end
  local words = {}
  for i = math.max(1, #all - PLANS_MAX + 1), #all do
    words[#words + 1] = all[i][1] .. ' ' .. all[i][2]
  end
  list(app)
  note(app, 'pl', table.concat(words, ','))
end

-- What a member states of an app whose plan was forgotten.
function plans.keep(app, day, name)
  if redis.call('HEXISTS', app.key, 'pl') == 0 then
    plans.note(app, day, name)
  end
end
