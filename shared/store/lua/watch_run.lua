-- Schedule a reaper's check of a run. KEYS[1] the index of open runs. ARGV: member, milliseconds from now.
redis.call('ZADD', KEYS[1], now_ms() + ARGV[2], ARGV[1])
