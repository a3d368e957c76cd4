-- Share a thread with a user, or no longer. ARGV: ttl, user, role or '', most users. Returns shared | unknown | full.
if redis.call('EXISTS', METADATA) == 0 then return 'unknown' end
local shares, count = decode(redis.call('HGET', METADATA, 'shares')) or {}, 0
for _ in pairs(shares) do count = count + 1 end
local role = ARGV[3] ~= '' and ARGV[3] or nil
if role and not shares[ARGV[2]] and count >= tonumber(ARGV[4]) then return 'full' end
shares[ARGV[2]] = role
-- An empty table would become a list.
redis.call('HSET', METADATA, 'shares', next(shares) and cjson.encode(shares) or '{}')
keep_alive(ARGV[1])
return 'shared'
