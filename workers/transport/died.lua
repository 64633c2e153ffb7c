-- The engine of a living worker has died: count it for those that it ran, and for no others.
-- KEYS: leases, in-flight hash.
-- ARGV: worker id, what the names of deaths begin with, seconds that they are kept, then the ids of those that ran,
-- if not all on record did: a batch that waited behind theirs has not begun, and they are a batch without it.
-- Returns false if the lease is lost, else {id, how often it has died alone, …}.
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then return false end
if ARGV[4] then
  local ran, record = {}, {}
  for i = 4, #ARGV do ran[ARGV[i]] = true end
  for field, id in string.gmatch(redis.call('HGET', KEYS[2], 'running') or '', '(%S+) (%S+)') do
    if ran[id] then record[#record + 1] = field .. ' ' .. id end
  end
  redis.call('HSET', KEYS[2], 'running', table.concat(record, ' '))
end
return count_deaths(KEYS[2], ARGV[2], ARGV[3])
