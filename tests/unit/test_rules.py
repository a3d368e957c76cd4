"""The project's own rules find their violations."""

import ast

import pytest

from tests.checks.rules import Source, expressions_do_not_backtrack


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
