"""A data folder of the Redis 6.2 that Baud once brought along opens with the store of today, its threads complete."""

import shutil
from pathlib import Path

from baud import Baud
from tests.e2e.test_local_stack import Stack

OLD = Path(__file__).parents[1] / "data" / "redis-6.2"
THREAD_ID = "c063bfae-4084-4a1a-a45f-51e22f15fe07"


def test_a_thread_written_by_redis_6_2_is_read_and_goes_on(tmp_path: Path) -> None:
    shutil.copytree(OLD, tmp_path / "data")
    stack = Stack(tmp_path)
    try:
        with Baud(stack.url) as baud:
            kept = list(baud.stream(THREAD_ID, until_completion=True))
            baud.execute(THREAD_ID, "Write the word pot into pot.txt")
            added = list(baud.stream(THREAD_ID, last_id=kept[-1].id, until_completion=True))
    finally:
        stack.end()
    assert "Write the word tea into tea.txt" in repr([event.data for event in kept])
    assert "Write the word pot into pot.txt" in repr([event.data for event in added])
    for events in (kept, added):
        assert events[-1].execute_type == "flow_completion"
        assert "'stop_reason': 'completed'" in repr(events[-1].data)
    assert not (tmp_path / "data" / "redis" / "appendonly.aof").exists()
