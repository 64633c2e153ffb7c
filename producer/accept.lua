#!lua
-- Accept or refuse requests of one priority, each by itself and in order; what is accepted is there whole, at
-- one instant. May not run without memory, unlike the workers' scripts: a full Redis refuses.
-- KEYS: leases, rates, limits, account of audio, its bytes, the lists from the most urgent to the one that is
-- meant; if all are turns of a conversation, whose turn it is there and who waits for it; then of each request
-- its id, its audio, its result.
-- ARGV: how many lists, number of the priority, seconds that audio and that ids are kept, most that the caller
-- lets wait ('' for any), most turns that may wait ('' if there is no conversation), seconds that it is
-- remembered; then of each request the digest of its content ('' if the id was made for it), its entry in the
-- account, its deadline in ms ('' for none), its message, its audio.
-- Of a conversation only one turn is on a list at a time. Those after it wait, and once one of a call has been
-- refused all after it are, so that none goes ahead of it.
-- Returns for each 1 if it was accepted, 0 if it had been before, or a list of why it was not: the code, what
-- was found, what was allowed, and in how many ms again may help (-1 if nobody knows).
local lists, priority, audio_seconds, id_seconds = tonumber(ARGV[1]), ARGV[2], ARGV[3], ARGV[4]
local leases, rates, account, account_bytes = KEYS[1], KEYS[2], KEYS[4], KEYS[5]
local list = KEYS[5 + lists]
local most_turns = tonumber(ARGV[6])
local first = 5 + lists + (most_turns and 2 or 0) -- the keys of the requests come after it
local turn, turns = KEYS[6 + lists], KEYS[7 + lists] -- those of the conversation, if there is one
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

-- Audio that has expired is not held any more. At most twice as much as a chunk adds, so that this keeps up.
for _, entry in ipairs(redis.call('ZRANGEBYSCORE', account, '-inf', now, 'LIMIT', 0, 128)) do
  local number, bytes = string.match(entry, '^(%d+):(%d+):')
  redis.call('ZREM', account, entry)
  if number then redis.call('HINCRBY', account_bytes, number, -bytes) end
end

local limits = redis.call('HMGET', KEYS[3], 'requests', 'bytes')
local most_waiting = math.min(tonumber(limits[1] or '') or math.huge, tonumber(ARGV[5]) or math.huge)
local most_held = tonumber(limits[2] or '') or math.huge
local waiting, held = redis.call('LLEN', list), tonumber(redis.call('HGET', account_bytes, priority) or 0)
local ahead = 0 -- more urgent ones
for i = 6, 4 + lists do ahead = ahead + redis.call('LLEN', KEYS[i]) end

-- Requests per second of all workers that live; 0 if none has said how fast it is.
local all_rates
local function rate()
  if all_rates then return all_rates end
  local alive = redis.call('ZRANGEBYSCORE', leases, string.format('(%.0f', now), '+inf')
  all_rates = 0
  for _, one in ipairs(#alive > 0 and redis.call('HMGET', rates, unpack(alive)) or {}) do
    all_rates = all_rates + (tonumber(one or '') or 0)
  end
  return all_rates
end

-- How many ms so many requests take; -1 if nobody knows.
local function milliseconds(requests)
  return rate() > 0 and math.ceil(1000 * requests / rate()) or -1
end

local refused -- the last turn of a conversation, and why

local function refusal(deadline, bytes)
  if refused then return refused end
  if deadline and deadline <= now then return {'DEADLINE_EXCEEDED', now - deadline, 0, -1} end
  if waiting + 1 > most_waiting then
    return {'QUEUE_FULL', waiting, most_waiting, milliseconds(ahead + waiting + 1 - most_waiting)}
  end
  if most_turns and redis.call('LLEN', turns) >= most_turns then
    return {'CONVERSATION_FULL', redis.call('LLEN', turns), most_turns, milliseconds(ahead + waiting + 1)}
  end
  if held + bytes > most_held then
    local requests = math.max(1, redis.call('ZCARD', account))
    local all_bytes = 0
    for _, one in ipairs(redis.call('HVALS', account_bytes)) do all_bytes = all_bytes + one end
    local too_many = (held + bytes - most_held) / math.max(1, all_bytes / requests)
    return {'BYTES_FULL', held + bytes, most_held, milliseconds(ahead + too_many)}
  end
  if not deadline then return end
  local wait = milliseconds(ahead + waiting)
  if wait > deadline - now then
    return {'WAIT_TOO_LONG', wait, deadline - now, wait - (deadline - now)}
  end
end

local entries, messages, bytes_more = {}, {}, 0

-- Whether a request may go on the list: it is of no conversation, or the only turn of one that is out. (An id
-- ends its entry in the account.)
local function is_next(entry, message)
  local id = most_turns and string.match(entry, '^%d+:%d+:(.*)$')
  if not id or redis.call('SET', turn, id, 'NX', 'EX', ARGV[7]) then return true end
  redis.call('LPUSH', turns, lists .. ':' .. id .. ':' .. message)
end

local function accept(key, entry, digest, message, audio)
  redis.call('SET', KEYS[key + 1], audio, 'EX', audio_seconds)
  redis.call('SET', KEYS[key], digest, 'EX', id_seconds)
  entries[#entries + 1] = now + audio_seconds * 1000
  entries[#entries + 1] = entry
  held, bytes_more = held + #audio, bytes_more + #audio
  if is_next(entry, message) then
    messages[#messages + 1] = message
    waiting = waiting + 1
  end
  return 1
end

-- An id that was made for another request stands for a content that nobody remembers: as long as that request
-- is kept, it is another's.
local function verdict(key, arg)
  local digest, entry, deadline, message, audio = unpack(ARGV, arg, arg + 4)
  local stands_for = digest ~= '' and redis.call('GET', KEYS[key])
  if stands_for then
    local is_kept = redis.call('EXISTS', KEYS[key + 1], KEYS[key + 2]) > 0
    if stands_for ~= digest and (is_kept or stands_for ~= '') then return {'ID_CONFLICT', 0, 0, -1} end
    if is_kept then return 0 end
    if redis.call('ZREM', account, entry) == 1 then bytes_more = bytes_more - #audio end
  end
  local why = refusal(tonumber(deadline), #audio)
  refused = most_turns and why
  return why or accept(key, entry, digest, message, audio)
end

local verdicts = {}
for i = 1, (#KEYS - first) / 3 do
  verdicts[i] = verdict(first - 2 + 3 * i, 3 + 5 * i)
end
for _, key in ipairs(most_turns and {turn, turns} or {}) do
  if redis.call('TTL', key) < tonumber(ARGV[7]) then redis.call('EXPIRE', key, ARGV[7]) end
end
if bytes_more ~= 0 then redis.call('HINCRBY', account_bytes, priority, bytes_more) end
if #entries > 0 then redis.call('ZADD', account, unpack(entries)) end
if #messages > 0 then redis.call('LPUSH', list, unpack(messages)) end
return verdicts
