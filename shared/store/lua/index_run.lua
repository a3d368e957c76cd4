-- Index a run's thread by the run's id. KEYS[1] the run's entry. ARGV: thread_id, ttl.
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
