-- Move a claimed message that nobody can understand to the dead list, of which the newest are kept.
-- KEYS: leases, in-flight hash, dead list.
-- ARGV: worker id, field, bytes kept of a message, messages kept, what the names of results begin with.
-- Returns 1, or 0 if it is not this worker's any more.
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then return 0 end
local message = redis.call('HGET', KEYS[2], ARGV[2])
if not message then return 0 end
redis.call('LPUSH', KEYS[3], string.sub(message, 1, tonumber(ARGV[3])))
redis.call('LTRIM', KEYS[3], 0, tonumber(ARGV[4]) - 1)
redis.call('HDEL', KEYS[2], ARGV[2])
unsay_received(message, ARGV[5])
return 1
