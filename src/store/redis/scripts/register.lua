-- Changes what is registered of an app, or deletes it; a deleted one leaves its row, which says so.
--
-- KEYS, see `registry`
-- ARGV[6]  the app
-- ARGV[7]  the version from which the change was made, 0 where there was none, or '' for any
-- ARGV[8]  what holds from now on, or '' to delete it
-- ARGV[9]  who, ARGV[10] why
--
-- Answers after the head: 1 if it was done, 2 if there was nothing to delete, 0 if it was changed meanwhile; then the
-- row that is there, or ''.

local refusal = refused(COUNTING)
if refusal then
  return refusal
end
local app, seen, spec, who, why = ARGV[6], ARGV[7], ARGV[8], ARGV[9], ARGV[10]
local row = row_of(app)
local there = redis.call('HGET', KEYS[2], app) or ''
if seen ~= '' and num(seen) ~= row.version and not (seen == '0' and row.deleted) then
  return seal({FINE, 0, 0, now, 0, there})
end
if spec == '' and (there == '' or row.deleted) then
  return seal({FINE, 0, 0, now, 2, there})
end
local version = math.max(row.version + 1, now)
local what = spec == '' and 'delete' or (there == '' or row.deleted) and 'create' or 'change'
-- A life begins where one had ended.
local life = spec ~= '' and row.deleted and str(version) or row.life
local written = write_row(app, version, spec == '', life, who, spec == '' and row.spec or spec)
record_audit(who, what, app, 'app', '', '', why)
return seal({FINE, 0, 0, now, 1, written})
