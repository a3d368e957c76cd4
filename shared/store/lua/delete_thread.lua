-- Remove a thread with all its keys, and notify whoever reads its stream. ARGV: run prefix, bell.
for _, run_id in ipairs(redis.call('LRANGE', RUNS, 0, -1)) do
  local run = ARGV[1] .. run_id
  local legacy = redis.call('HGET', run, 'legacy_stream')
  if legacy then redis.call('UNLINK', legacy) end
  redis.call('UNLINK', run)
end
redis.call('UNLINK', unpack(KEYS, 1, 7))
ring(ARGV[2], '')
return 1
