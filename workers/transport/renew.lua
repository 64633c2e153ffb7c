-- Take or renew the lease of a worker. All time is Redis's own, in milliseconds.
-- KEYS: leases.  ARGV: worker id, length of the lease in ms, 'take' or 'renew'.
-- Returns 0 if the lease was lost: somebody has returned this worker's messages.
if ARGV[3] == 'renew' and not redis.call('ZSCORE', KEYS[1], ARGV[1]) then return 0 end
local now = redis.call('TIME')
redis.call('ZADD', KEYS[1], now[1] * 1000 + math.floor(now[2] / 1000) + ARGV[2], ARGV[1])
return 1
