-- Return a worker's messages to the heads of their lanes, in the order in which they were claimed.
-- KEYS: leases, in-flight hash, rates, the lanes' lists.
-- ARGV: worker id, 'dead' to do so only if its lease has run out, 'own' to do so in any case, what the names of
-- deaths begin with, seconds that they are kept.
-- Returns how many were returned, or -1 if the worker lives or somebody else was faster.
-- A worker that died may have died of what it ran; one that hands back lives.
local lease = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not lease then return -1 end
if ARGV[2] == 'dead' then
  local now = redis.call('TIME')
  if tonumber(lease) > now[1] * 1000 + math.floor(now[2] / 1000) then return -1 end
  count_deaths(KEYS[2], ARGV[3], ARGV[4])
end
local held = redis.call('HGETALL', KEYS[2])
local messages = {}
for i = 1, #held, 2 do
  local number, lane = string.match(held[i], '^(%d+):(%d+)$')
  if number then
    messages[#messages + 1] = {tonumber(number), tonumber(lane), held[i + 1]}
  end
end
table.sort(messages, function(a, b) return a[1] > b[1] end)
for _, message in ipairs(messages) do
  redis.call('RPUSH', KEYS[3 + message[2]], message[3])
end
redis.call('DEL', KEYS[2])
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[3], ARGV[1])
return #messages
