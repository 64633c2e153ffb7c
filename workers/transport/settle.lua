#!lua flags=allow-oom
-- Store a batch's results, tell whoever waits, acknowledge its messages, remove its audio: all or nothing.
-- KEYS: leases, in-flight hash, result keys (n), audio keys (m).
-- ARGV: worker id, n, then for each result its value and its time to live in s, then the fields.
-- A result is written once: a final one that is there already stays, and is told again.
-- Returns 0 if the lease is lost: the messages run elsewhere, and nothing is written.
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then return 0 end
local results = tonumber(ARGV[2])
for i = 1, results do
  local key, value = KEYS[2 + i], ARGV[1 + 2 * i]
  local stored = redis.pcall('GET', key) -- an error if somebody put anything but a string there
  local readable, meta = pcall(cjson.decode, stored)
  local status = readable and type(meta) == 'table' and meta['status']
  if status == 'SUCCESS' or status == 'FAILURE' or status == 'REVOKED' then
    value = stored
  else
    redis.call('SET', key, value, 'EX', ARGV[2 + 2 * i])
  end
  redis.call('PUBLISH', key, value)
end
for i = 3 + 2 * results, #ARGV do
  redis.call('HDEL', KEYS[2], ARGV[i])
end
for i = 3 + results, #KEYS do
  redis.call('UNLINK', KEYS[i])
end
return 1
