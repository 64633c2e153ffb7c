#!lua flags=allow-oom
-- What several scripts do, in one place: each script of this folder begins with this one.

-- What is stored of a request, and its state; no state for junk under its key.
local function state_of(result)
  local stored = redis.pcall('GET', result) -- an error if somebody put anything but a string there
  local readable, meta = pcall(cjson.decode, stored)
  return stored, readable and type(meta) == 'table' and meta['status']
end

-- The stored state of a request that will not change any more, or nil.
local function final(result)
  local stored, status = state_of(result)
  if status == 'SUCCESS' or status == 'FAILURE' or status == 'REVOKED' then return stored end
end

-- What a command reads of a key of one request, or false; what somebody else put there goes, so that it holds up
-- nobody else's batch.
local function read(command, key, ...)
  local found = redis.pcall(command, key, ...)
  if type(found) ~= 'table' or not found.err then return found end
  redis.call('UNLINK', key)
  return false
end

-- How often a request's engine has died while it ran alone, or nil if it never died.
local function deaths_of(key)
  local said = read('GET', key)
  if said and string.match(said, '^%d+$') then return said end
  if said then redis.call('UNLINK', key) end
end

-- The id of the request in a message, if it is written as kombu writes it. In the body, which is text inside
-- this text, every quote has a backslash before it.
local CORRELATION = '"correlation_id": "'
local function id_of(message)
  local _, last = string.find(message, CORRELATION, 1, true)
  return last and string.match(message, '^([%w_-]+)"', last + 1)
end

-- Let whoever asks where a request is know that a worker has it, for as long as that worker lives; if nothing
-- else is known of it. `prefix` is what the names of results begin with.
local RECEIVED = '{"status": "RECEIVED", "result": null, "traceback": null, "children": [], "date_done": null, '
  .. '"lease": "%s", "task_id": "%s"}'
local function say_received(message, worker, prefix, seconds)
  local id = id_of(message)
  if id then redis.call('SET', prefix .. id, string.format(RECEIVED, worker, id), 'NX', 'EX', seconds) end
end

-- The worker does not have it any more.
local function unsay_received(message, prefix)
  local id = id_of(message)
  if not id then return end
  local _, status = state_of(prefix .. id)
  if status == 'RECEIVED' then redis.call('UNLINK', prefix .. id) end
end

-- Remove a request's audio, and count its bytes no longer as waiting for a worker.
-- `held` and `held_bytes` are the keys of that account, `priority` the number under which it was accepted.
local function release(audio, id, priority, held, held_bytes)
  local bytes = redis.pcall('STRLEN', audio)
  redis.call('UNLINK', audio)
  if type(bytes) == 'number' and redis.call('ZREM', held, priority .. ':' .. bytes .. ':' .. id) == 1 then
    local left = redis.pcall('HINCRBY', held_bytes, priority, -bytes)
    if type(left) ~= 'number' or left <= 0 then redis.call('HDEL', held_bytes, priority) end
  end
end

-- Of a conversation only one turn is out at a time: on a lane, claimed, or waiting for another attempt.
-- `turn` is the key of its id, `turns` that of the list of '<lane>:<id>:<message>' of those after it.

local function remember(key, seconds)
  if redis.call('TTL', key) < tonumber(seconds) then redis.call('EXPIRE', key, seconds) end
end

-- Whether a request may go on its lane now; else it has been put behind the turns that wait.
local function is_next(turn, turns, lane, id, message, seconds)
  if redis.call('SET', turn, id, 'NX', 'EX', seconds) then return true end
  redis.call('LPUSH', turns, lane .. ':' .. id .. ':' .. message)
  remember(turns, seconds)
end

-- Take the turn that waits longest, as its lane, its id and its message; what makes no sense is passed over.
local function next_turn(turns, lanes)
  local waiting = read('RPOP', turns)
  while waiting do
    local lane, id, message = string.match(waiting, '^(%d):([^:]*):(.*)$')
    if message and tonumber(lane) >= 1 and tonumber(lane) <= lanes then return tonumber(lane), id, message end
    waiting = read('RPOP', turns)
  end
end

-- End a turn, if it is this request's and has not ended yet, and put the next at the head of its lane.
-- `context` is the key of what is known of the turns so far, to which `text` comes, of all at most `bytes` from
-- its end; with `anew` '1' nothing else of it stays. `first` is what comes before the `lanes` lanes in KEYS.
local function end_turn(turn, turns, context, id, text, anew, bytes, seconds, first, lanes)
  if read('GET', turn) ~= id then return end
  if anew == '1' then redis.call('UNLINK', context) end
  if text ~= '' then
    local all = (read('HGET', context, 'text') or '') .. ' ' .. text
    local said = tonumber(redis.call('HGET', context, 'turns') or 0) or 0
    redis.call('HSET', context, 'text', string.sub(all, -bytes), 'turns', said + 1)
  end
  remember(context, seconds)
  local lane, next_id, message = next_turn(turns, lanes)
  if not message then
    redis.call('UNLINK', turn)
    return
  end
  redis.call('SET', turn, next_id, 'KEEPTTL')
  redis.call('RPUSH', KEYS[first + lane], message)
  remember(turn, seconds)
  remember(turns, seconds)
end

-- Count a death for those whom the record says to have been running and not settled since, and for no others.
-- Who ran alone has died alone once more; who ran in company is only suspected: 0 deaths alone.
-- Returns {id, deaths alone, …}.
local function count_deaths(record, prefix, seconds)
  local running, ids = redis.call('HGET', record, 'running') or '', {}
  for field, id in string.gmatch(running, '(%S+) (%S+)') do
    if redis.call('HEXISTS', record, field) == 1 then ids[#ids + 1] = id end
  end
  redis.call('HDEL', record, 'running')
  local _, spaces = string.gsub(running, ' ', '')
  local deaths = {}
  for _, id in ipairs(ids) do
    deaths_of(prefix .. id) -- takes away what is no count
    if spaces == 1 then
      redis.call('INCR', prefix .. id)
      redis.call('EXPIRE', prefix .. id, seconds)
    else
      redis.call('SET', prefix .. id, 0, 'NX', 'EX', seconds)
    end
    deaths[#deaths + 1] = id
    deaths[#deaths + 1] = redis.call('GET', prefix .. id)
  end
  return deaths
end
