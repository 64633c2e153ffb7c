-- Look at what a worker will probably claim next, and take nothing.
-- KEYS: until when workers are busy, the lanes' lists from most to least urgent.
-- ARGV: worker id, how many messages each worker takes that is free before this one, how many to show.
-- Returns {lane, message, …}, those that are claimed first at the front.
local own = redis.call('ZSCORE', KEYS[1], ARGV[1])
local before = own and redis.call('ZCOUNT', KEYS[1], '-inf', '(' .. own) or 0
local passed, left, shown = before * ARGV[2], tonumber(ARGV[3]), {}
for lane = 2, #KEYS do
  local length = redis.call('LLEN', KEYS[lane])
  if passed < length and left > 0 then
    local messages = redis.call('LRANGE', KEYS[lane], -passed - left, -passed - 1)
    for i = #messages, 1, -1 do
      shown[#shown + 1] = lane - 1
      shown[#shown + 1] = messages[i]
    end
    left = left - #messages
  end
  passed = math.max(0, passed - length)
end
return shown
