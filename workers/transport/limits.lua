-- Say how much may wait, for producers to be told; what was said before goes.
-- KEYS: limits.  ARGV: of each limit its name and its number.
redis.call('DEL', KEYS[1])
if ARGV[1] then redis.call('HSET', KEYS[1], unpack(ARGV)) end
return 1
