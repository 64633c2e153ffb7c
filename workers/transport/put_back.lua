-- Return one claimed message to the head of its lane, or move it to the end of the last.
-- KEYS: leases, in-flight hash, the lanes' lists.
-- ARGV: worker id, field, 'head' or 'last', what the names of results begin with.
-- Returns 1, 0 if it was put back or settled before, or -1 if the lease is lost.
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then return -1 end
local message = redis.call('HGET', KEYS[2], ARGV[2])
if not message then return 0 end
if ARGV[3] == 'head' then
  redis.call('RPUSH', KEYS[2 + tonumber(string.match(ARGV[2], ':(%d+)$'))], message)
else
  redis.call('LPUSH', KEYS[#KEYS], message)
end
redis.call('HDEL', KEYS[2], ARGV[2])
unsay_received(message, ARGV[4])
return 1
