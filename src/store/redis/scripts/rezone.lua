-- Changes the billing zones of the ledger, unless somebody else did meanwhile.
--
-- KEYS[1]  the meta key
-- ARGV[1]  the installation's id
-- ARGV[2]  the zones as the caller knows them, ARGV[3] the zones from now on
--
-- Answers the zones that the ledger has then.

local m = redis.call('HMGET', KEYS[1], 'inst', 'zone')
if m[1] == ARGV[1] and m[2] == ARGV[2] then
  redis.call('HSET', KEYS[1], 'zone', ARGV[3])
  return ARGV[3]
end
return m[2] or ''
