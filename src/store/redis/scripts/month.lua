-- An app's month and its days: net groups in the order of settlement, and daily users.
--
-- The month's hash, one for each app: ep (the epoch in which it was touched last); from the first change of groups on
-- ci (net groups carried in), pm (the month in which they had changed before, if any is known), g and gd (their
-- peak, and its day: without one it was carried in); a and ad (the peak of daily active users and its day); for
-- each day dDAY (its users) and, if groups changed on it, pDAY ('highest last'); e (what the month ended with, when its
-- days are gone); ta (on which days members told again what had been forgotten: 1 for the first, 2 for the
-- second, 4 …, added up); lDAY (users of whom members told when the day was sealed); cv (how often an operator
-- corrected anything) and for each day that one did cDAY ('users groups ms why', '-' for what stays).

local months = {}
do
  -- How much earlier than an app's last change one may be said to be
  -- and still come after it: a call is answered within minutes, but may be told again after its member's restart.
  local LATE_DAYS = 3
  local DAY_SECONDS, OLD_MONTHS_MAX = 24 * 3600, 3

  local known = {}

  function months.key(id, number)
    return base .. 'm:' .. id .. ':' .. str(number)
  end

  -- The first day of a month, from 1970-01-01.
  local function first_day(number)
    -- Of years that begin in March.
    local year, month = math.floor((number - 2) / 12), (number - 2) % 12
    return 365 * year + math.floor(year / 4) - math.floor(year / 100) + math.floor(year / 400)
      + math.floor((153 * month + 2) / 5) - 719468
  end

  -- `day`: which one's groups are read as well.
  function months.read(key, day)
    if not known[key] then
      local h = hash(key)
      local f = redis.call('HMGET', key, 'ep', 'ci', 'g', 'a', 'p' .. day)
      local id, number = string.match(key, '(%d+):(%d+)$')
      h.id, h.number, h.epoch = id, tonumber(number), tonumber(f[1] or nil)
      h.begun, h.peak, h.users, h.days = f[2], num(f[3]), num(f[4]), {[day] = f[5] or ''}
      known[key] = h
    end
    return known[key]
  end

  function months.save()
    for _, month in pairs(known) do
      save(month)
    end
  end

  -- A month that was corrected keeps its days: its peaks are found from them.
  local function forget_days_of(key)
    local f, gone = redis.call('HGETALL', key), {}
    local last, ended
    for i = 1, #f, 2 do
      local kind, day = string.match(f[i], '^([dp])(%-?%d+)$')
      if f[i] == 'cv' then
        return
      elseif kind then
        gone[#gone + 1] = f[i]
      end
      if kind == 'p' and (not last or tonumber(day) > last) then
        last, ended = tonumber(day), string.match(f[i + 1], '(%d+)$')
      end
    end
    if ended then
      put('HSET', key, 'e', ended)
    end
    if gone[1] then
      put('HDEL', key, unpack(gone))
    end
  end

  -- When a month is new, the days go of the one that is too old from then on; and of a few before it, which an app
  -- that was not touched in between may have still. Those of an app that rests longer go with the month.
  local function forget_days(month)
    local newest = month.number - DAYS_KEPT_MONTHS
    for number = newest, newest - OLD_MONTHS_MAX + 1, -1 do
      forget_days_of(months.key(month.id, number))
    end
  end

  -- A day more, wherever days begin.
  local function keep(month)
    month.ends = str((first_day(month.number + MONTHS_KEPT) + 1) * DAY_SECONDS)
  end

  local function note_told_again(month, day)
    local told = num(redis.call('HGET', month.key, 'ta'))
    local bit = 2 ^ math.min(30, math.max(0, tonumber(day) - first_day(month.number)))
    if math.floor(told / bit) % 2 == 0 then
      note(month, 'ta', str(told + bit))
    end
  end

  -- Comes with whatever is written of a month. The first step of an epoch after the first of all says that the ledger
  -- was told again.
  function months.touch(month, day, told_again)
    if month.epoch == epoch then
      return
    end
    if told_again or month.epoch or is_open then
      note_told_again(month, day)
    end
    if not month.epoch then
      forget_days(month)
      keep(month)
    end
    month.epoch = epoch
    note(month, 'ep', str(epoch))
  end

  -- Notes beside the counts, for people: it is no event of the month.
  function months.remark(month, field, value)
    if not month.epoch then
      keep(month)
    end
    note(month, field, value)
  end

  -- Users of whom the ledger was told when their day was sealed.
  function months.note_too_late(key, day, users)
    local month = months.read(key, day)
    local before = month.at['l' .. day] and month.writes[month.at['l' .. day]] or redis.call('HGET', key, 'l' .. day)
    months.remark(month, 'l' .. day, str(num(before) + users))
  end

  local function begin_month(app, month, carried)
    if not month.begun then
      month.begun, month.peak = true, carried
      note(month, 'ci', str(carried))
      note(month, 'g', str(carried))
      if app.month ~= 0 and app.month < month.number then
        note(month, 'pm', str(app.month))
      end
    end
  end

  local function book_day(month, day, top, last)
    if not month.days[day] then
      month.days[day] = redis.call('HGET', month.key, 'p' .. day) or ''
    end
    local highest = num(string.match(month.days[day], '^(%d+) '))
    local value = str(math.max(highest, top)) .. ' ' .. str(last)
    if value ~= month.days[day] then
      month.days[day] = value
      note(month, 'p' .. day, value)
    end
  end

  -- Books a change of the app's groups, which were `before` and in between as many as `high`. What comes after midnight
  -- is of the day on which it comes: of the app's newest, if it is said to be of an earlier one. But a newest day
  -- that is far ahead was a clock's fault.
  function months.book(app, key, day, before, high)
    if app.day and tonumber(day) < app.day and tonumber(day) + LATE_DAYS >= app.day then
      key, day = months.key(app.id, app.month), str(app.day)
    end
    local month = months.read(key, day)
    -- While members restate nobody knows what is carried in.
    if is_open and not month.begun then
      return
    end
    local first, last = math.max(0, before), math.max(0, counted(app[1]))
    local top = math.max(first, last, high or 0)
    months.touch(month, day)
    begin_month(app, month, first)
    book_day(month, day, top, last)
    if top > month.peak then
      month.peak = top
      note(month, 'g', str(top))
      note(month, 'gd', day)
    end
    if app.month ~= month.number or app.day ~= tonumber(day) then
      app.month, app.day = month.number, tonumber(day)
      note(app, 'mo', str(app.month) .. ' ' .. day)
    end
  end

  -- What there was in a month in which no group came or went: what there is now, if none did since; else what the next
  -- month with a change began with, if there was an earlier one.
  function months.unchanged(app, number)
    if number >= app.month then
      return math.max(0, counted(app[1]))
    end
    for later = number + 1, math.min(app.month, number + MONTHS_KEPT) do
      local f = redis.call('HMGET', months.key(app.id, later), 'ci', 'pm')
      if f[1] then
        return f[2] and num(f[2]) <= number and num(f[1]) or 0
      end
    end
    return 0
  end
end
