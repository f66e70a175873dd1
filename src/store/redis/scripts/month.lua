-- The month's peak of net groups, in settlement order.
--
-- A held record is in the count, for the limit, but not yet in the peak: it may be withdrawn, and
-- nobody shall pay for a group that never came to be.

local function read_month(key)
  local h = hash(key)
  local f = redis.call('HMGET', key, 'ci', 'g')
  h.begun, h.peak = f[1], num(f[2])
  return h
end

-- `before` is the counted net before the step: the month's first value is what was carried in.
-- `high` is the highest that the step speaks of.
local function raise_peak(month, day, before, high)
  if not month.begun then
    month.begun, month.peak = true, math.max(0, before)
    note(month, 'ci', str(before))
    note(month, 'g', str(month.peak))
    note(month, 'gd', day)
  end
  if high > month.peak then
    month.peak = high
    note(month, 'g', str(high))
    note(month, 'gd', day)
  end
end
