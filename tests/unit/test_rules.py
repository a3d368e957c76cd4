"""The project's own rules find their violations."""

import ast

import pytest

from tests.checks.rules import Source, cluster_has_one_folder, expressions_do_not_backtrack


@pytest.mark.parametrize(
    ("expression", "is_refused"),
    [
        (r"(a+)+", True),
        (r"(?:[\w-]+[_-])*key", True),
        (r"(?:x|(?:y\s*)+)", True),
        (r"(?P<name>(a|b*)+)", True),
        (r"[a-z0-9]+", False),
        (r"(a{1,80})+", False),
        (r"\s*[:=]\s*", False),
    ],
)
def test_a_repeat_inside_of_a_repeat_is_refused(expression: str, is_refused: bool) -> None:
    text = f"import re\nPATTERN = re.compile({expression!r})\n"
    found = list(expressions_do_not_backtrack(Source("gateway/x.py", text, ast.parse(text))))
    assert bool(found) is is_refused


@pytest.mark.parametrize(
    ("name", "text", "is_refused"),
    [
        ("shared/store/runs.py", "x = 1  # a node of the Cluster\n", True),
        ("gateway/core/main.py", "from shared.store.cluster.connection import open_cluster\n", True),
        ("shared/store/runs.py", "x = 1  # a server\n", False),
        ("shared/store/cluster/client.py", "class ClusterRedis: pass\n", False),
        ("shared/store/connection.py", "if config.cluster: pass\n", False),
        ("shared/config.py", "cluster: bool = False\n", False),
        ("tests/integration/test_store_cluster.py", "cluster = 1\n", False),
    ],
)
def test_the_cluster_is_named_where_it_is_known(name: str, text: str, *, is_refused: bool) -> None:
    assert bool(list(cluster_has_one_folder(Source(name, text, ast.parse(text))))) is is_refused
