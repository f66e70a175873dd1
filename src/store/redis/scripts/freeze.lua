-- Freezes an app on its way to a recount, or ends that.
--
-- KEYS[2]  the app
-- ARGV[6]  the digit of the resource's counter
-- ARGV[7]  for how long it stays frozen, in ms; or 0 to end the freeze
-- ARGV[8]  the token of the freeze to end
--
-- Answers after the head: the token (0: it is not frozen), when it ends, the count, 1 if it began by this.

local refusal = refused(ALWAYS)
if refusal then
  return refusal
end
local app = read_app(KEYS[2])
local c, lasts = app[tonumber(ARGV[6])], tonumber(ARGV[7])
thaw(app)
local token, ends, began = app.frozen or 0, 0, 0
if lasts == 0 then
  if app.frozen == tonumber(ARGV[8]) then
    put('HDEL', app.key, 'fz')
    token = 0
  end
elseif app.frozen then
  ends = tonumber(string.match(app.thaws, ' (%d+)$'))
else
  token, ends, began = seq + 1, now + lasts, 1
  note(app, 'fz', str(token) .. ' ' .. str(ends))
  list(app)
end
save(app)
return seal({FINE, 0, 0, now, token, ends, shown(c), began})
