-- Remove a thread with all its keys. KEYS[8] its tombstone. ARGV: run prefix, life of the tombstone.
for _, run_id in ipairs(redis.call('LRANGE', RUNS, 0, -1)) do
  local run = ARGV[1] .. run_id
  local legacy = redis.call('HGET', run, 'legacy_stream')
  if legacy then redis.call('UNLINK', legacy) end
  redis.call('UNLINK', run)
end
redis.call('UNLINK', unpack(KEYS, 1, 7))
redis.call('SET', KEYS[8], now_ms(), 'EX', ARGV[2])
return 1
