-- Judges a charge, part by part in its order: the first part that does not fit is the refusal, unless it is only
-- what members hold unspent that stands in its way, and another is really full. Its parts are pairs in ARGV from
-- `at` on: a counter's digit, its limit or '-'. Those among the digits of `but` have their place. Answers the digits of its counters, and by their numbers `full`
-- and `lent`; or that one is incomplete.
local function judge(app, gain, amount, at, but)
  local counters, lent, full = '', nil, nil
  for i = at, #ARGV, 2 do
    local k, limit = tonumber(ARGV[i]), ARGV[i + 1]
    local c = k == 3 and gain or app[k]
    counters = counters .. ARGV[i]
    if limit ~= '-' and not (but and string.find(but, ARGV[i], 1, true)) then
      if is_incomplete(app, k) then
        -- That it was asked for is remembered: it does not become a new one by age.
        list(app)
        return counters, nil, nil, true
      end
      limit = lowest(c, limit)
      if shown(c) + amount > limit then
        full = full or k
      elseif shown(c) + c.out + amount > limit then
        lent = lent or k
      end
    end
  end
  return counters, full, lent
end

-- A refusal that is remembered.
local function write_refusal(app, record, field, fp, counter, day)
  record.state, record.fp, record.number, record.counters = 'd', fp, '0', counter
  record.day, record.era, record.owner, record.claims = day, '', '', ''
  record.changed = true
  rest(record, app, field)
end
