#!lua flags=allow-oom
-- Claim up to n messages, most urgent lane first, oldest first, into this worker's in-flight record.
-- KEYS: leases, in-flight hash, the lanes' lists from most to least urgent.
-- ARGV: worker id, n, number of the last claim that the worker has heard of.
-- Returns false if the lease is lost, else {field, message, …}.
-- A field is '<claim number>:<lane>', so that fields of one worker sort in the order of their claims.
-- Claims whose reply never arrived are told again, and nothing new is claimed with them.
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then return false end
local claimed = {}
local function tell(field, message)
  claimed[#claimed + 1] = field
  claimed[#claimed + 1] = message
end

for number = ARGV[3] + 1, tonumber(redis.call('HGET', KEYS[2], '#') or 0) do
  for lane = 1, #KEYS - 2 do
    local field = string.format('%d:%d', number, lane)
    local message = redis.call('HGET', KEYS[2], field)
    if message then tell(field, message) end
  end
end
if #claimed > 0 then return claimed end

local left = tonumber(ARGV[2])
for lane = 1, #KEYS - 2 do
  if left > 0 then
    for _, message in ipairs(redis.call('RPOP', KEYS[2 + lane], left) or {}) do
      local field = string.format('%d:%d', redis.call('HINCRBY', KEYS[2], '#', 1), lane)
      redis.call('HSET', KEYS[2], field, message)
      tell(field, message)
      left = left - 1
    end
  end
end
return claimed
