-- Store a batch's results, tell whoever waits, acknowledge its messages, remove its audio: all or nothing.
-- KEYS: leases, in-flight hash, rates, account of audio, its bytes, dead requests, the lanes' lists, then results,
-- audio, two for each that is given up (where it is kept, its audio), three for each turn of a conversation
-- (whose turn it is, who waits, the context), and what else is to be removed.
-- ARGV: worker id, its rate ('' if not known yet), how many results, audio, given up, seconds that these are kept,
-- how many of them, how many lanes, turns, bytes and seconds of a context that are kept; then of each result value
-- and seconds, of each audio id and priority, of each given up id, field and reason, of each turn id, text and
-- whether the context begins anew, then the fields of all messages.
-- A result is written once: a final one that is there already stays, and is told again.
-- Returns 0 if the lease is lost: the messages run elsewhere, and nothing is written.
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then return 0 end
local results, audios, given_up = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local lanes, turns = tonumber(ARGV[8]), tonumber(ARGV[9])
local key, arg = 6 + lanes, 11 -- the last that has been read
local function next_key() key = key + 1 return KEYS[key] end
local function next_arg() arg = arg + 1 return ARGV[arg] end

for _ = 1, results do
  local result, value, seconds = next_key(), next_arg(), next_arg()
  local stored = final(result)
  if not stored then redis.call('SET', result, value, 'EX', seconds) end
  redis.call('PUBLISH', result, stored or value)
end
for _ = 1, audios do
  release(next_key(), next_arg(), next_arg(), KEYS[4], KEYS[5])
end
for _ = 1, given_up do
  local kept, audio, id, field, reason = next_key(), next_key(), next_arg(), next_arg(), next_arg()
  local message, now = redis.call('HGET', KEYS[2], field), redis.call('TIME')
  if message then
    redis.call('UNLINK', kept)
    redis.call('HSET', kept, 'message', message, 'lane', string.match(field, ':(%d+)$'), 'reason', reason)
    redis.call('EXPIRE', kept, ARGV[6])
    redis.call('EXPIRE', audio, ARGV[6])
    redis.call('ZADD', KEYS[6], now[1], id)
    redis.call('ZREMRANGEBYSCORE', KEYS[6], '-inf', now[1] - ARGV[6])
    redis.call('ZREMRANGEBYRANK', KEYS[6], 0, -1 - ARGV[7])
  end
end
for _ = 1, turns do
  local turn, waiting, context = next_key(), next_key(), next_key()
  end_turn(turn, waiting, context, next_arg(), next_arg(), next_arg(), ARGV[10], ARGV[11], 6, lanes)
end
for i = key + 1, #KEYS do redis.call('UNLINK', KEYS[i]) end
for i = arg + 1, #ARGV do redis.call('HDEL', KEYS[2], ARGV[i]) end
if ARGV[2] ~= '' then redis.call('HSET', KEYS[3], ARGV[1], ARGV[2]) end
return 1
