-- Marks a member gone, when all that it counted is in bases; or tells that bases have changed.
--
-- KEYS[3]  the notices
-- ARGV[1]  the installation's id, ARGV[2] the caller's epoch
-- ARGV[3]  who is gone, or '' for a recount
-- ARGV[4]  1 if it was retired, by another
-- ARGV[5]  the app that was recounted, ARGV[6] the freeze's token, ARGV[7] 1 if this is a repetition: then it is
--          told only if it was not, which is as long as the notice stands
--
-- Answers status and the number of the news.

local FINE, ABSENT, OTHER, BEHIND, OPEN = 0, 1, 2, 3, 4

local meta = read_meta()
if meta.inst == '' then
  return {ABSENT, 0}
end
if meta.inst ~= ARGV[1] then
  return {OTHER, 0}
end
if meta.epoch > num(ARGV[2]) then
  return {BEHIND, 0}
end
local inc = ARGV[3]
local told
if inc == '' then
  local notice = redis.call('HGET', KEYS[3], ARGV[5])
  told = string.match(notice or '', '^%d+') == ARGV[6]
  if ARGV[7] == '1' and not told then
    return {FINE, meta.news}
  end
  -- Its number grows, so that it is told, and what it says stays.
  change(meta, 'news', meta.news + 1)
  change(meta, 'rollv', meta.rollv + 1)
else
  if meta.open == 1 then
    return {OPEN, 0}
  end
  local gone = redis.call('HGET', KEYS[2], 'g:' .. inc)
  if gone then
    return {FINE, num(string.match(gone, ' (%d+)$'))}
  end
  -- What one that did not restate had, and nobody knows, will not come any more.
  local p = parse_presence(redis.call('HGET', KEYS[2], 'k:' .. inc))
  if ARGV[4] == '1' and meta.inc == meta.epoch and p and p.restated ~= meta.epoch then
    change(meta, 'maimed', 1)
  end
  mark_gone(meta, inc)
end
finish_roll(meta)
if told then
  redis.call('HDEL', KEYS[3], ARGV[5])
end
return {FINE, meta.news}
