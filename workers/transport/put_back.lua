#!lua flags=allow-oom
-- Return one claimed message to the head of its lane.
-- KEYS: leases, in-flight hash, the lanes' lists.  ARGV: worker id, field.
-- Returns 1, 0 if it was put back or settled before, or -1 if the lease is lost.
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then return -1 end
local message = redis.call('HGET', KEYS[2], ARGV[2])
if not message then return 0 end
redis.call('RPUSH', KEYS[2 + tonumber(string.match(ARGV[2], ':(%d+)$'))], message)
redis.call('HDEL', KEYS[2], ARGV[2])
return 1
