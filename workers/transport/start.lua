-- Start a batch: say of each member whether it may run, and remember who does, should the worker die of it.
-- KEYS: leases, in-flight hash, then of each member its result, its mark of a cancellation, its deaths.
-- ARGV: worker id, seconds that a state is kept (0 for ever), then of each member its field, its id, its state.
-- Returns false if the lease is lost, else a verdict each: 'finished', 'cancelled', or how often it has died
-- alone ('' for never, 0 for in company). Who has died runs alone or, as yet, not at all.
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then return false end
local members, seconds = (#KEYS - 2) / 3, tonumber(ARGV[2])
local verdicts, running = {}, {}
for i = 1, members do
  local result, cancelled, deaths = KEYS[3 * i], KEYS[3 * i + 1], KEYS[3 * i + 2]
  local field, id, state = ARGV[3 * i], ARGV[3 * i + 1], ARGV[3 * i + 2]
  if final(result) then
    verdicts[i] = 'finished'
  elseif redis.call('EXISTS', cancelled) == 1 then
    verdicts[i] = 'cancelled'
  else
    verdicts[i] = deaths_of(deaths) or ''
    if members == 1 or verdicts[i] == '' then
      redis.call('SET', result, state)
      if seconds > 0 then redis.call('EXPIRE', result, seconds) end
      running[#running + 1] = field .. ' ' .. id
    end
  end
end
redis.call('HSET', KEYS[2], 'running', table.concat(running, ' '))
return verdicts
