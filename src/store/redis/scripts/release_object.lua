-- Releases of a named object: what it was counted as is given back, once, whatever the release calls it. One whose
-- name nobody knows is taken from those that were counted without a name.
--
-- KEYS[2] … KEYS[6], ARGV[6] … ARGV[12] as `release`; the amount is 1
-- ARGV[13] 1 if groups follow where it turns out to be an AV room
-- ARGV[14] the object's field
-- ARGV[15] how many objects a bucket holds on average at most
--
-- Answers as `release`, and before the view the digit of what it was.

local refusal = refused(COUNTING)
if refusal then
  return refusal
end

local field, fp, day, own, object = ARGV[6], ARGV[7], ARGV[8], tonumber(ARGV[11]), ARGV[14]
ask(day, ARGV[9], {field, object})
local record, named = all.known[field], all.known[object]

local function finish(outcome, replayed, mine, number, groups, kind)
  return finish_with({FINE, 0, 0, now, outcome, replayed, mine or 0, number or 0, groups or 0, kind or own},
    tonumber(ARGV[15]))
end

-- Whether groups, and the day's gain, fall with what is known by its name.
local function follow(kind)
  return kind == 1 or kind == 2 and ARGV[13] == '1'
end

-- In nobody's sums, so that nobody adds it to anything.
local function settle(number, groups, kind, groups_follow)
  write_release(record, fp, day, number, groups, kind, groups_follow)
  record.era = ''
  rest(record, app, field)
  return finish(RELEASED, 0, 0, number, groups, kind)
end

local function give(kind, groups_follow)
  -- Of what nobody has told again it cannot be said how much there is to give back.
  if is_incomplete(app, kind) or groups_follow and is_incomplete(app, 1) then
    list(app)
    return finish(INCOMPLETE, 0)
  end
  local before = counted(app[1])
  local number, groups = give_back(app, gain, record, 1, kind, groups_follow)
  if counted(app[1]) ~= before then
    months.book(app, KEYS[6], day, before)
    months.save()
  end
  write_release(record, fp, day, number, groups, kind, groups_follow)
  return nil, number, groups
end

-- Its creation was not reported yet: it is charged no more, and whoever reports it is told so.
local function undo()
  local kind = tonumber(string.sub(named.counters, 1, 1))
  local number, has_groups = tonumber(named.number), string.find(named.counters, '[13]')
  local in_groups = kind == 1 or string.find(named.counters, '1', 1, true)
  if named.claims == '' then
    holds.is_deleted(app, named, object, gain_of)
  else
    holds.become(app, named, object, 'g', gain_of)
  end
  return settle(number, in_groups and number or 0, kind, has_groups and true)
end

local function release_counted(kind)
  local incomplete, number, groups = give(kind, follow(kind))
  if incomplete then
    return incomplete
  end
  objects.forget(app, object, kind, follow(kind))
  -- Of an earlier creation somebody is to be told still.
  if named.state ~= 'g' then
    holds.is_deleted(app, named, object, gain_of)
  end
  return finish(RELEASED, 0, 1, number, groups, kind)
end

local function is_left(k)
  return objects.untracked(app, k, shown(app[k]) + unreported(app[k])) > 0
end

local function release_unknown()
  if not is_left(own) or objects.is_buried(app, object, own) then
    return settle(0, 0, own, false)
  end
  local incomplete, number, groups = give(own, ARGV[12] == '1')
  if incomplete then
    return incomplete
  end
  if is_left(own) or own ~= 0 and is_left(3 - own) then
    objects.bury(app, object, own)
  else
    objects.clear_tombs(app, own)
  end
  return finish(RELEASED, 0, 1, number, groups, own)
end

if app.frozen then
  return finish(FROZEN, 0)
end
if record.state ~= 'x' then
  if record.state ~= 'r' or record.fp ~= fp then
    return finish(OTHER_CONTENT, 0)
  end
  local kind = tonumber(string.sub(record.counters, 1, 1))
  local mine, groups = given_before(app, record, kind)
  return finish(RELEASED, 1, mine and 1 or 0, tonumber(record.number), groups, kind)
end
if is_charged(named) and not holds.is_open(named) then
  return undo()
end
local kind = objects.kind_of(app, object, own) or named.state == 'c' and tonumber(string.sub(named.counters, 1, 1))
if kind then
  return release_counted(kind)
end
-- What is reserved does not exist yet; what was cancelled or freed is not counted; what is deleted is so already.
if named.state ~= 'x' then
  return settle(0, 0, own, false)
end
return release_unknown()
