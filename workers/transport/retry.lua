-- Queue a given-up request anew, with a clean record. Its result, the only one that ever goes again, goes.
-- KEYS: dead requests, where it is kept, result, deaths, the lanes' lists; if it is a turn of a conversation,
-- whose turn it is there and who waits. ARGV: id, how many lanes, seconds that a conversation is remembered.
-- Returns 1, or 0 if nothing is kept of it.
local message, lane = unpack(redis.call('HMGET', KEYS[2], 'message', 'lane'))
if not message then return 0 end
redis.call('UNLINK', KEYS[2], KEYS[3], KEYS[4])
redis.call('ZREM', KEYS[1], ARGV[1])
local turn, turns = KEYS[5 + ARGV[2]], KEYS[6 + ARGV[2]]
if not turn or is_next(turn, turns, lane, ARGV[1], message, ARGV[3]) then
  redis.call('LPUSH', KEYS[4 + tonumber(lane)], message)
end
return 1
