-- An app's month: the peak of its net groups, in the order of settlement, and that of its daily users.
--
-- The month's hash, one for each app: ci (net groups carried in), g and gd (the peak of counted net groups
-- and its day), a and ad (the peak of daily active users and its day), dDAY (users of a day).

local months = {}

local function read_month(key)
  if not months[key] then
    local h = hash(key)
    local f = redis.call('HMGET', key, 'ci', 'g', 'a')
    h.number = tonumber(string.match(key, '(%d+)$'))
    h.begun, h.peak, h.users = f[1], num(f[2]), num(f[3])
    months[key] = h
  end
  return months[key]
end

local function save_months()
  for _, month in pairs(months) do
    save(month)
  end
end

-- Comes before whatever the step changes, or with what was counted before it: a month's first value is
-- what was carried in. While members restate nobody knows what that is.
local function begin_month(app, month, day, before)
  if month.begun or is_open then
    return
  end
  local carried = before or counted(app[1])
  month.begun, month.peak = true, math.max(0, carried)
  note(month, 'ci', str(carried))
  note(month, 'g', str(month.peak))
  note(month, 'gd', day)
  if month.number > app.month then
    app.month = month.number
    note(app, 'mo', str(month.number))
  end
end

local function raise_peak(month, day, high)
  if high > month.peak then
    month.peak = high
    note(month, 'g', str(high))
    note(month, 'gd', day)
  end
end
