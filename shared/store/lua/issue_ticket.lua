-- Store a stream ticket. KEYS[1] the ticket. ARGV: thread id, principal, milliseconds until its first use, and in all.
redis.call('HSET', KEYS[1], 'thread_id', ARGV[1], 'principal', ARGV[2],
  'ends_at', string.format('%.0f', now_ms() + ARGV[4]))
redis.call('PEXPIRE', KEYS[1], ARGV[3])
