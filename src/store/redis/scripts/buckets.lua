-- Sets of 64-bit numbers, spread over buckets: as long as none has more members than set-max-intset-entries, each
-- costs its member 8 bytes. Bucket I of a set is the key BUCKETS .. I.
--
-- Buckets are split one at a time (linear hashing, Litwin 1980), so that no step does much. There are
-- 2^(k+l) + p: those below p are split already. A member's place is the last bits of H, whose last k
-- bits come from elsewhere (the caller's, up to 24) and all others from the member, so that a bucket can be split by
-- what it holds, and more than 64 bits tell members apart where there are many.
--
-- A round splits every bucket once. It waits until they are nearly full, and is over when the last one is full: while
-- buckets of two sizes lie beside each other, the small ones cost the most keys for their members.
--
-- A set is a table: buckets, k, l, p, full (how many members a bucket holds on average at most), lasts (until when its
-- keys stay, in seconds, or nil). A member comes with its bits: the low 20 bits of the member × 2^24 + 24 bits from
-- elsewhere.

local buckets = {}
do
  -- As many low bits of the member the place may use.
  local LOW = 1048576
  local LEVEL_MAX = 19
  local ELSEWHERE = 16777216
  -- Of what a full bucket holds, when its round begins.
  local NEARLY = 5 / 6

  -- The low 20 bits of a signed decimal of 64 bits, taken in two pieces, since a double holds only 53.
  local function low_bits(member)
    local negative = string.byte(member) == 45
    local digits = negative and string.sub(member, 2) or member
    local high = tonumber(string.sub(digits, 1, -10)) or 0
    local low = ((high % LOW) * (1000000000 % LOW) + tonumber(string.sub(digits, -9))) % LOW
    return negative and (LOW - low) % LOW or low
  end

  -- How many buckets there were when this round of splits began.
  local function size_of(s)
    return 2 ^ (s.k + s.l)
  end

  function buckets.key_of(s, bits)
    local width, size = 2 ^ s.k, size_of(s)
    local elsewhere = bits % ELSEWHERE
    local h = elsewhere % width + width * ((bits - elsewhere) / ELSEWHERE)
    local place = h % size
    if place < s.p then
      place = h % (2 * size)
    end
    return s.buckets .. place
  end

  -- A bucket that has just been made goes with its set.
  function buckets.keep(s, key, added)
    if s.lasts and redis.call('SCARD', key) == added then
      redis.call('EXPIREAT', key, s.lasts)
    end
  end

  -- How many members as many buckets may have before the first of them is split.
  function buckets.room(full, width)
    return NEARLY * full * width
  end

  function buckets.are_full(s, members)
    return members > buckets.room(s.full, size_of(s)) + (1 - NEARLY) * s.full * s.p and s.l < LEVEL_MAX
  end

  -- How many buckets there are.
  function buckets.count(s)
    return size_of(s) + s.p
  end

  -- Every bucket's key.
  function buckets.keys(s)
    local keys = {}
    for place = 0, buckets.count(s) - 1 do
      keys[place + 1] = s.buckets .. place
    end
    return keys
  end

  -- Splits bucket p, at once: what has the next bit set moves to its new sibling.
  function buckets.split(s)
    local size = size_of(s)
    local from, to = s.buckets .. s.p, s.buckets .. (s.p + size)
    local bit = 2 ^ s.l
    local moved = {}
    local members = redis.call('SMEMBERS', from)
    for i = 1, #members do
      local rest = low_bits(members[i]) % (2 * bit)
      if rest >= bit then
        moved[#moved + 1] = members[i]
      end
    end
    if #moved > 0 then
      local added = 0
      for i = 1, #moved, WORDS_MAX do
        added = added + redis.call('SADD', to, unpack(moved, i, math.min(i + WORDS_MAX - 1, #moved)))
        redis.call('SREM', from, unpack(moved, i, math.min(i + WORDS_MAX - 1, #moved)))
      end
      buckets.keep(s, to, added)
    end
    s.p = s.p + 1
    if s.p == size then
      s.l, s.p = s.l + 1, 0
    end
  end
end
