-- Claim up to n messages, most urgent lane first, oldest first, into this worker's in-flight record.
-- KEYS: leases, in-flight hash, the lanes' lists from most to least urgent.
-- ARGV: worker id, n, how many more of the most urgent lane, number of the last claim that the worker has heard
-- of, claims in a turn.
-- Returns false if the lease is lost, else {field, message, …}.
-- A field is '<claim number>:<lane>', so that fields of one worker sort in the order of their claims.
-- Claims whose reply never arrived are told again, and nothing new is claimed with them.
-- At the end of each turn every less urgent lane goes first once, so that no flood starves it.
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then return false end
local lanes, per_turn = #KEYS - 2, tonumber(ARGV[5])
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

local function take(lane, most)
  local messages = redis.call('RPOP', KEYS[2 + lane], most) or {}
  for _, message in ipairs(messages) do
    number = redis.call('HINCRBY', KEYS[2], '#', 1)
    local field = string.format('%d:%d', number, lane)
    redis.call('HSET', KEYS[2], field, message)
    tell(field, message)
  end
  return #messages
end

local left, last = tonumber(ARGV[2]), per_turn - lanes -- from 0: the last place of a turn that is lane 1's
while left > 0 do
  local place = number % per_turn
  local first, most = 1, math.min(left, last + 1 - place)
  if place > last then first, most = 1 + place - last, 1 end
  local taken = take(first, most)
  for lane = 1, lanes do
    if taken == 0 then taken = take(lane, most) end
  end
  if taken == 0 then break end
  left = left - taken
end
local more = tonumber(ARGV[3])
if more > 0 then take(1, more) end
return claimed
