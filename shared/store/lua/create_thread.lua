-- Create a thread unless it exists. KEYS[8] the tombstone of an earlier one. ARGV: ttl, then
-- field, value, … Returns 1 when created.
if redis.call('EXISTS', METADATA) == 1 then return 0 end
redis.call('HSET', METADATA, unpack(ARGV, 2))
redis.call('DEL', KEYS[8])
keep_alive(ARGV[1])
return 1
