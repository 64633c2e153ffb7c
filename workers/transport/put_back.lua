-- Return claimed messages to the heads of their lanes, in the order in which they were claimed, or move them to
-- the end of the last.
-- KEYS: leases, in-flight hash, the lanes' lists.
-- ARGV: worker id, 'head' or 'last', what the names of results begin with, then fields.
-- Returns how many, without those that were put back or settled before, or -1 if the lease is lost.
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then return -1 end
local fields, moved = {unpack(ARGV, 4)}, 0
local function claim_of(field) return tonumber(string.match(field, '^%d+')) end
table.sort(fields, function(a, b) return claim_of(a) > claim_of(b) end)
for _, field in ipairs(fields) do
  local message = redis.call('HGET', KEYS[2], field)
  if message then
    if ARGV[2] == 'head' then
      redis.call('RPUSH', KEYS[2 + tonumber(string.match(field, ':(%d+)$'))], message)
    else
      redis.call('LPUSH', KEYS[#KEYS], message)
    end
    redis.call('HDEL', KEYS[2], field)
    unsay_received(message, ARGV[3])
    moved = moved + 1
  end
end
return moved
