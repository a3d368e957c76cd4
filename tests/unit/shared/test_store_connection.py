"""The configuration chooses the connection, and what it does not ask for is not imported."""

import subprocess
import sys

import pytest

from shared.store.redis.scripts import read_scripts

_PROGRAM = """
import sys
import gateway.core.serve, modem.core.queue_command, modem.service.runtime
from shared.config import RedisConfig
from shared.store.connection import open_connection
connection = open_connection(RedisConfig(cluster={cluster}))
keys = connection.keys("t")
print(type(connection).__name__, keys.stream, any(name.startswith("shared.store.cluster") for name in sys.modules))
"""


@pytest.mark.parametrize(
    ("cluster", "expected"),
    [(False, "Connection thread:t:stream False"), (True, "ClusterConnection thread:{t}:stream True")],
    ids=["one server", "a cluster"],
)
def test_the_cluster_is_imported_only_where_it_is_asked_for(*, cluster: bool, expected: str) -> None:
    program = _PROGRAM.format(cluster=cluster)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == expected


def test_scripts_differ_between_kinds_of_redis_in_the_command_that_notifies_only() -> None:
    published, sharded = read_scripts("PUBLISH"), read_scripts("SPUBLISH")
    assert published.keys() == sharded.keys() >= {"append_run", "claim_run", "finish_run"}
    for name, script in published.items():
        command, _, rest = script.text.partition(b"\n")
        assert command == b"local PUBLISH_COMMAND = 'PUBLISH'"
        assert sharded[name].text.partition(b"\n") == (b"local PUBLISH_COMMAND = 'SPUBLISH'", b"\n", rest)
        assert script.sha != sharded[name].sha
        assert b"cluster" not in rest.lower()
