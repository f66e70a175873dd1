-- Reads the bases of a shard that are newer than a version, and which apps it has.
--
-- ARGV[6]  the version
-- ARGV[7]  1 if only the names of the apps are asked for
--
-- Answers after the head: the highest version of any base, then five words for each base: app, counter,
-- generation, version, amount; or one for each app.

local refusal = refused(ALWAYS)
if refusal then
  return refusal
end
local since = num(ARGV[6])
local answer = {FINE, 0, 0, now, num(redis.call('HGET', KEYS[1], 'bv'))}
if ARGV[7] == '1' then
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', base .. 'apps', '-inf', '+inf')) do
    answer[#answer + 1] = id
  end
  return seal(answer)
end
for _, id in ipairs(redis.call('ZRANGEBYSCORE', base .. 'apps', '(' .. str(since), '+inf')) do
  local f = redis.call('HMGET', base .. 'a:' .. id, 'g0', 'a0', 'g1', 'a1', 'g2', 'a2', 'g3', 'a3')
  for k = 0, 3 do
    local version, amount = string.match(f[2 * k + 2] or '', '^(%d+) (%-?%d+)$')
    if num(version) > since then
      local at = #answer
      answer[at + 1], answer[at + 2], answer[at + 3] = id, k, num(f[2 * k + 1])
      answer[at + 4], answer[at + 5] = num(version), num(amount)
    end
  end
end
return seal(answer)
