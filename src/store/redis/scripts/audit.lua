-- What operators did: a list for each shard, the newest first. An entry is eight words with byte 31 between
-- them: when (ms), who, what, app or '', resource or member, the count before or '', the count after or '',
-- why.

local AUDIT_MAX = 1000

local function record_audit(who, what, app, subject, from, to, why)
  put('LPUSH', base .. 'u', table.concat({str(now), who, what, app, subject, from, to, why}, '\31'))
  put('LTRIM', base .. 'u', '0', str(AUDIT_MAX - 1))
end
