-- Writes down in the audit list that objects were imported. Whoever goes on with an import has one entry for all of
-- it, as long as it is the newest of the shard.
--
-- ARGV[6]  the app, ARGV[7] what the objects are, ARGV[8] how many, ARGV[9] who
-- ARGV[10] for how long an import goes on, in ms
--
-- Answers nothing after the head.

local refusal = refused(ALWAYS)
if refusal then
  return refusal
end
local newest = redis.call('LINDEX', base .. 'u', 0) or ''
local at, before, objects = string.match(newest, '^(%d+)(\31.*\31)(%d+)\31$')
local goes_on = table.concat({'', ARGV[9], 'import', ARGV[6], ARGV[7], '', ''}, '\31')
if before == goes_on and now - tonumber(at) < tonumber(ARGV[10]) then
  put('LSET', base .. 'u', '0', at .. before .. str(tonumber(objects) + tonumber(ARGV[8])) .. '\31')
else
  record_audit(ARGV[9], 'import', ARGV[6], ARGV[7], '', ARGV[8], '')
end
return seal({FINE, 0, 0, now})
