-- Claim up to n messages, most urgent lane first, oldest first, into this worker's in-flight record; or those that
-- the worker has seen and chosen, after the most urgent lane and before all others.
-- KEYS: leases, in-flight hash, the lanes' lists from most to least urgent, until when workers are busy.
-- ARGV: worker id, n, how many more of the most urgent lane, number of the last claim that the worker has heard
-- of, claims in a turn; then '' to take all n, or the least that is taken whoever else is free (0: nothing unless
-- nobody is), and in how many milliseconds another worker counts as free and this one will be; what the names of results begin with,
-- seconds that it is kept there who has a request; how deep in a lane the chosen are looked for, then the chosen.
-- Returns false if the lease is lost, else {field, message, …}.
-- A field is '<claim number>:<lane>', so that fields of one worker sort in the order of their claims.
-- Claims whose reply never arrived are told again, and nothing new is claimed with them.
-- At the end of each turn every less urgent lane goes first once, so that no flood of others starves it.
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then return false end
local lanes, busy, per_turn = #KEYS - 3, KEYS[#KEYS], tonumber(ARGV[5])
local claimed = {}
local function tell(field, message)
  claimed[#claimed + 1] = field
  claimed[#claimed + 1] = message
end

local number = tonumber(redis.call('HGET', KEYS[2], '#') or 0)
for told = ARGV[4] + 1, number do
  for lane = 1, lanes do
    local field = string.format('%d:%d', told, lane)
    local message = redis.call('HGET', KEYS[2], field)
    if message then tell(field, message) end
  end
end
if #claimed > 0 then return claimed end

local function record(lane, message)
  number = redis.call('HINCRBY', KEYS[2], '#', 1)
  local field = string.format('%d:%d', number, lane)
  redis.call('HSET', KEYS[2], field, message)
  tell(field, message)
  say_received(message, ARGV[1], ARGV[9], ARGV[10])
end

local function take(lane, most)
  local messages = redis.call('RPOP', KEYS[2 + lane], most) or {}
  for _, message in ipairs(messages) do record(lane, message) end
  return #messages
end

-- Take the next of the chosen, if it waits where it was seen: whoever has taken it since was faster.
local chosen = 11 -- the last that was looked for
local function take_chosen()
  while ARGV[chosen + 1] do
    chosen = chosen + 1
    for lane = 1, lanes do
      if redis.call('LPOS', KEYS[2 + lane], ARGV[chosen], 'RANK', -1, 'MAXLEN', ARGV[11]) then
        redis.call('LREM', KEYS[2 + lane], -1, ARGV[chosen])
        record(lane, ARGV[chosen])
        return 1
      end
    end
  end
  return 0
end

-- Whether anything waits that is more urgent.
local function is_overtaken(lane)
  for other = 1, lane - 1 do
    if redis.call('EXISTS', KEYS[2 + other]) == 1 then return true end
  end
end

-- What waits is shared with those who are free, or soon will be, as by `batching.pulling.share`.
local function share(n, least, soon, own)
  local waiting, free, now = 0, 1, redis.call('TIME')
  now = now[1] * 1000 + math.floor(now[2] / 1000)
  redis.call('ZREMRANGEBYSCORE', busy, '-inf', now)
  for lane = 1, lanes do waiting = waiting + redis.call('LLEN', KEYS[2 + lane]) end
  for _, other in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
    local left = (redis.call('ZSCORE', busy, other) or 0) - now
    if left <= soon and other ~= own then free = free + 1 end
  end
  if least == 0 and free > 1 then return 0 end
  if waiting > 0 then
    redis.call('ZADD', busy, now + ARGV[8], own)
    remember(busy, math.ceil(ARGV[8] / 1000))
  else
    redis.call('ZREM', busy, own)
  end
  if 2 * waiting > free * n then return n end
  return math.min(n, math.max(least, math.ceil(waiting / free)))
end

local left, last = tonumber(ARGV[2]), per_turn - lanes -- from 0: the last place of a turn that is lane 1's
if ARGV[6] ~= '' then left = share(left, tonumber(ARGV[6]), tonumber(ARGV[7]), ARGV[1]) end
while left > 0 do
  local place = number % per_turn
  local first, most = 1, math.min(left, last + 1 - place)
  if place > last then most = 1 end
  if place > last and is_overtaken(1 + place - last) then first = 1 + place - last end
  local taken = take(first, most)
  for lane = 1, lanes do
    if taken == 0 then taken = take(lane, most) end
    if taken == 0 and lane == 1 then taken = take_chosen() end
  end
  if taken == 0 then break end
  left = left - taken
end
local more = tonumber(ARGV[3])
if more > 0 then take(1, more) end
return claimed
