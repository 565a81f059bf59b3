-- The engine: one call is one run of this script, and Redis runs one script at a time, so nothing
-- comes between its steps. KEYS[1] is the prefix of all keys, with the hash tag; ARGV[1] names the
-- call. Keys:
--
--   counter   the last number that was given: tokens, sessions, versions
--   s:<id>    a session: its length in ms, with its expiry. Redis deletes it when it is over (at
--             the latest when it is asked for), so what was seen as over stays over
--   sessions  session by the time at which it is due, for the sweep
--   o:<id>    what a session has: "<token> <queue>"
--   q:<name>  a queue: "<x|s> <session> <token> <entry id>" by token
--   v:<name>  values by token          i:<name>  tokens by "<session> <entry id>"
--   n:<name>  the queue's version, for ten minutes after the last change
--   w:<name>  there while somebody waits for news of the queue
--   queues    names of queues with entries
--   r:<name>  a register: value, version
--
-- Entries of sessions that are over are taken out by whoever comes by, a window at a time, and by
-- whoever opens a session. What is not taken out yet is never counted.

local P = KEYS[1]
local WINDOW = 128
local BUSY, SESSION_OVER, OVER, FULL, DONE = 1, 2, 3, 4, 0

local function text(number)
  return string.format('%.0f', number)
end

local function micros()
  local now = redis.call('TIME')
  return tonumber(now[1]) * 1000000 + tonumber(now[2])
end

-- A number above all that were given before. It is not below the server's time, so that a server
-- that has lost its data goes on above what it had given, if its clock is not set back. 2^53, the
-- end of exact numbers here, is in the year 2255.
local function draw()
  local last = tonumber(redis.call('GET', P .. 'counter') or '0')
  local number = math.max(last + 1, micros())
  redis.call('SET', P .. 'counter', text(number))
  return number
end

local function tell(queue, token)
  if redis.call('EXISTS', P .. 'w:' .. queue) == 1 then
    redis.call('PUBLISH', P .. 'news', token .. ' ' .. queue)
  end
end

local function changed(queue)
  redis.call('SET', P .. 'n:' .. queue, text(draw()), 'PX', 600000)
end

local function watch(queue)
  redis.call('SET', P .. 'w:' .. queue, '1', 'PX', 60000)
  redis.call('PEXPIRE', P .. 'n:' .. queue, 600000)
end

local lives = {}
local function alive(session)
  if lives[session] == nil then
    lives[session] = redis.call('EXISTS', P .. 's:' .. session) == 1
  end
  return lives[session]
end

local function read(member)
  local mode, session, token, id = string.match(member, '^(%a) (%d+) (%d+) (%S+)$')
  return { member = member, mode = mode, session = session, token = token, id = id }
end

local function find(queue, token)
  local found = redis.call('ZRANGEBYSCORE', P .. 'q:' .. queue, token, token)
  return found[1] and read(found[1])
end

local function remove(queue, entry)
  redis.call('ZREM', P .. 'q:' .. queue, entry.member)
  redis.call('HDEL', P .. 'v:' .. queue, entry.token)
  redis.call('HDEL', P .. 'i:' .. queue, entry.session .. ' ' .. entry.id)
  redis.call('SREM', P .. 'o:' .. entry.session, entry.token .. ' ' .. queue)
  if redis.call('EXISTS', P .. 'q:' .. queue) == 0 then
    redis.call('ZREM', P .. 'queues', queue)
  end
  changed(queue)
  tell(queue, entry.token)
end

local function finish(session)
  redis.call('DEL', P .. 's:' .. session)
  redis.call('ZREM', P .. 'sessions', session)
  for _, held in ipairs(redis.call('SMEMBERS', P .. 'o:' .. session)) do
    local token, queue = string.match(held, '^(%d+) (.*)$')
    local entry = find(queue, token)
    if entry then
      remove(queue, entry)
    end
  end
  redis.call('DEL', P .. 'o:' .. session)
end

-- The entries of a queue in order, at least `first` of them if there are so many. Those of sessions
-- that are over are taken out on the way.
local function standing(queue, first)
  local kept, from = {}, 0
  while #kept < first do
    local members = redis.call('ZRANGE', P .. 'q:' .. queue, from, from + WINDOW - 1)
    if #members == 0 then
      break
    end
    for _, member in ipairs(members) do
      local entry = read(member)
      if alive(entry.session) then
        kept[#kept + 1] = entry
        from = from + 1
      else
        remove(queue, entry)
      end
    end
  end
  return kept
end

-- The nearest entry before rank `rank` that one of this mode waits for, and how many such are
-- known of: windows backwards, until one has such an entry.
local function before(queue, mode, rank)
  local ahead, depth = nil, 0
  while rank > 0 and not ahead do
    local from = math.max(0, rank - WINDOW)
    for _, member in ipairs(redis.call('ZRANGE', P .. 'q:' .. queue, from, rank - 1)) do
      local entry = read(member)
      if not alive(entry.session) then
        remove(queue, entry)
      elseif mode == 'x' or entry.mode == 'x' then
        ahead, depth = entry.token, depth + 1
      end
    end
    rank = from
  end
  return ahead, depth
end

local function place(queue, token)
  local entry = find(queue, token)
  if not entry then
    return { OVER }
  elseif not alive(entry.session) then
    remove(queue, entry)
    return { OVER }
  end
  local rank = redis.call('ZRANK', P .. 'q:' .. queue, entry.member)
  local ahead, depth = before(queue, entry.mode, rank)
  return { DONE, token, ahead or '0', depth }
end

local call = {}

function call.format(ours)
  local format = redis.call('GET', P .. 'format')
  if not format then
    redis.call('SET', P .. 'format', ours)
  end
  return format or ours
end

function call.open(length)
  local now = math.floor(micros() / 1000)
  local due = redis.call('ZRANGEBYSCORE', P .. 'sessions', '-inf', text(now), 'LIMIT', 0, 8)
  for _, session in ipairs(due) do
    if alive(session) then
      -- The clock has been stepped; when it is due by now is what its key says.
      local left = redis.call('PTTL', P .. 's:' .. session)
      redis.call('ZADD', P .. 'sessions', text(now + left + 1), session)
    else
      finish(session)
    end
  end
  local session = text(draw())
  redis.call('SET', P .. 's:' .. session, length, 'PX', length)
  redis.call('ZADD', P .. 'sessions', text(now + tonumber(length) + 1), session)
  return session
end

function call.renew(session)
  local length = redis.call('GET', P .. 's:' .. session)
  if not length then
    finish(session)
    return 0
  end
  redis.call('PEXPIRE', P .. 's:' .. session, length)
  local due = math.floor(micros() / 1000) + tonumber(length) + 1
  redis.call('ZADD', P .. 'sessions', text(due), session)
  return 1
end

function call.close(session)
  finish(session)
  return 1
end

function call.enter(queue, session, id, mode, value, wait, most)
  if not alive(session) then
    finish(session)
    return { SESSION_OVER }
  end
  local there = redis.call('HGET', P .. 'i:' .. queue, session .. ' ' .. id)
  if there then
    return place(queue, there)
  end
  local ahead, depth = before(queue, mode, redis.call('ZCARD', P .. 'q:' .. queue))
  if ahead and wait == '0' then
    return { BUSY, '0', ahead, depth }
  end
  local entries = redis.call('ZCARD', P .. 'q:' .. queue)
  if entries >= tonumber(most) then
    return { FULL }
  end
  local token = text(draw())
  local member = mode .. ' ' .. session .. ' ' .. token .. ' ' .. id
  redis.call('ZADD', P .. 'q:' .. queue, token, member)
  redis.call('HSET', P .. 'v:' .. queue, token, value)
  redis.call('HSET', P .. 'i:' .. queue, session .. ' ' .. id, token)
  redis.call('SADD', P .. 'o:' .. session, token .. ' ' .. queue)
  if entries == 0 then
    redis.call('ZADD', P .. 'queues', 0, queue)
  end
  changed(queue)
  tell(queue, '0')
  return { DONE, token, ahead or '0', depth }
end

function call.place(queue, token)
  return place(queue, token)
end

function call.leave(queue, token)
  local entry = find(queue, token)
  if entry then
    remove(queue, entry)
  end
  return 1
end

function call.set(queue, token, value)
  local entry = find(queue, token)
  if not entry then
    return 0
  elseif not alive(entry.session) then
    remove(queue, entry)
    return 0
  end
  redis.call('HSET', P .. 'v:' .. queue, token, value)
  changed(queue)
  tell(queue, '0')
  return 1
end

-- How long an entry has at least, in ms; -1 when it is gone.
function call.remaining(queue, token)
  watch(queue)
  local entry = find(queue, token)
  if not entry then
    return -1
  end
  local left = redis.call('PTTL', P .. 's:' .. entry.session)
  if left < 0 then
    remove(queue, entry)
    return -1
  end
  return left
end

-- The version, the time until the next session among the entries ends (-1: none), and for each
-- entry token, session, mode, value.
function call.list(queue, watching, first)
  if watching == '1' then
    watch(queue)
  end
  local entries = standing(queue, tonumber(first))
  local version = redis.call('GET', P .. 'n:' .. queue)
  if not version and #entries > 0 then
    changed(queue)
    version = redis.call('GET', P .. 'n:' .. queue)
  end
  local left, asked, listing = -1, {}, {}
  for at, entry in ipairs(entries) do
    if at > tonumber(first) then
      break
    end
    if not asked[entry.session] then
      asked[entry.session] = true
      local its = redis.call('PTTL', P .. 's:' .. entry.session)
      if left < 0 or its < left then
        left = its
      end
    end
    local value = redis.call('HGET', P .. 'v:' .. queue, entry.token) or ''
    listing[#listing + 1] = { entry.token, entry.session, entry.mode, value }
  end
  return { version or '0', left, listing }
end

function call.queues(after, first)
  local names, most = {}, tonumber(first)
  local from = after == '' and '-' or '(' .. after
  while #names < most do
    local some = redis.call('ZRANGEBYLEX', P .. 'queues', from, '+', 'LIMIT', 0, most)
    if #some == 0 then
      break
    end
    for _, queue in ipairs(some) do
      if #names < most and #standing(queue, 1) > 0 then
        names[#names + 1] = queue
      end
      from = '(' .. queue
    end
  end
  return names
end

function call.load(register)
  return redis.call('HMGET', P .. 'r:' .. register, 'value', 'version')
end

-- {1, new version} or {0, the version that is there instead, or '0'}.
function call.store(register, expected, value)
  local version = redis.call('HGET', P .. 'r:' .. register, 'version') or '0'
  if version ~= expected then
    return { 0, version }
  end
  version = text(draw())
  redis.call('HSET', P .. 'r:' .. register, 'value', value, 'version', version)
  return { 1, version }
end

return call[ARGV[1]](unpack(ARGV, 2))
