-- The engine of a living worker has died: count it for those that it ran, and for no others.
-- KEYS: leases, in-flight hash.
-- ARGV: worker id, what the names of deaths begin with, seconds that they are kept.
-- Returns false if the lease is lost, else {id, how often it has died alone, …}.
if not redis.call('ZSCORE', KEYS[1], ARGV[1]) then return false end
return count_deaths(KEYS[2], ARGV[2], ARGV[3])
