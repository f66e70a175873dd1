-- Takes note that nothing of an app has a name any more: none of those that it had is ever asked for again.
--
-- KEYS[2]  the app's names, see `objects`
--
-- Answers nothing after the head.

local refusal = refused(COUNTING)
if refusal then
  return refusal
end
if redis.call('EXISTS', KEYS[2]) == 1 then
  put('HSET', KEYS[2], 't0', '0', 't1', '0', 't2', '0')
end
return seal({FINE, 0, 0, now})
