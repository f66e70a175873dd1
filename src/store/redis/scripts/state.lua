-- States the highest seq that the caller has seen of a shard, and opens it under this run.
--
-- Answers after the head: why the shard is lost, or nothing.

local refusal, lost = refused(false)
if refusal then
  return refusal
end
return seal({FINE, 0, 0, now, lost or ''})
