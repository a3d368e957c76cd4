"""Globs match as a shell's do, whatever they are made of, and none can make the matcher go back."""

import pytest

from workflow.service.sandbox.file_helper.braces import expand
from workflow.service.sandbox.file_helper.glob_match import Globs
from workflow.service.sandbox.file_helper.refusal import RefusedError


def matches(pattern: str, path: str, *, any_depth: bool = False) -> bool:
    globs = Globs([pattern], any_depth=any_depth)
    *folders, name = path.split("/")
    state = globs.start
    for folder in folders:
        state = globs.advance(state, folder)
    return globs.accepts(state, name)


@pytest.mark.parametrize(
    ("pattern", "path", "expected"),
    [
        ("*.py", "a.py", True),
        ("*.py", "src/a.py", False),
        ("*", ".hidden", True),
        ("**", "a", True),
        ("**", "a/b/c", True),
        ("**/*.py", "a.py", True),
        ("**/*.py", "x/y/a.py", True),
        ("src/**", "src/x/y", True),
        ("src/**", "src", False),
        ("src/**/test/*.py", "src/test/a.py", True),
        ("src/**/test/*.py", "src/a/b/test/a.py", True),
        ("src/**/test/*.py", "src/a/b/test/c/a.py", False),
        ("**/**/a", "a", True),
        ("a**b", "axxb", True),
        ("a**b", "a/b", False),
        ("?.py", "a.py", True),
        ("?.py", "ab.py", False),
        ("[ab].c", "b.c", True),
        ("[!ab].c", "b.c", False),
        ("[^ab].c", "c.c", True),
        ("[a-c]x", "bx", True),
        ("[c-a]x", "bx", False),
        ("[]]x", "]x", True),
        ("[a", "[a", True),
        ("[[:digit:]]", "7", True),
        ("[a-]x", "-x", True),
        (r"\*.py", "*.py", True),
        (r"\*.py", "a.py", False),
        ("*.{py,js}", "a.js", True),
        ("{a,b/**}/c", "b/x/y/c", True),
        ("x{1..3}", "x2", True),
        ("x{1..3}", "x4", False),
        ("a.b", "axb", False),
        ("/a", "a", False),
        ("a//b/", "a/b", True),
        ("*a*b*", "xxaxxbxx", True),
        ("*ab*ab", "ab", False),
        ("É*", "École", True),
        ("*.PY", "a.py", False),
    ],
)
def test_paths_match_as_in_a_shell(pattern: str, path: str, expected: bool) -> None:
    assert matches(pattern, path) is expected


def test_a_pattern_without_a_slash_can_mean_any_depth() -> None:
    assert matches("*.pyc", "a/b/c.pyc", any_depth=True)
    assert not matches("a/*.pyc", "b/a/c.pyc", any_depth=True)


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("**/a/" * 10 + "b", "a/" * 36 + "c"),
        ("**/a/" * 190 + "b", "a/" * 1000 + "c"),
        ("**/*/" * 100 + "b", "a/" * 1000 + "c"),
        ("*a" * 400 + "b", "a" * 255),
        ("**/" + "*a*" * 100 + "b", "a/" * 30 + "a" * 255),
        ("?*" * 300 + "b", "a" * 255),
        ("[a-z]*" * 150 + "b", "a" * 255),
    ],
    ids=["ten folders", "190 folders", "any folders", "stars", "stars in folders", "marks", "classes"],
)
def test_no_pattern_makes_the_matcher_go_back(pattern: str, path: str) -> None:
    assert not matches(pattern, path)


@pytest.mark.parametrize(
    ("pattern", "made"),
    [
        ("a{b,c}d", ["abd", "acd"]),
        ("{a,{b,c}}", ["a", "b", "c"]),
        ("{a}", ["{a}"]),
        ("{a{b,c}}", ["{ab}", "{ac}"]),
        ("{,x}y", ["y", "xy"]),
        ("{a,b", ["{a,b"]),
        ("{a,{b}", ["{a,{b}"]),
        (r"\{a,b}", [r"\{a,b}"]),
        ("{3..1}", ["3", "2", "1"]),
        ("{01..10..4}", ["01", "05", "09"]),
        ("{a..c}", ["a", "b", "c"]),
        ("}{", ["}{"]),
    ],
)
def test_braces_stand_for_what_a_shell_makes_of_them(pattern: str, made: list[str]) -> None:
    assert expand(pattern) == made


@pytest.mark.parametrize(
    "pattern",
    ["{1..9999}", "{a,b}" * 8, "{" * 50 + "a,b" + ",c}" * 50, "{1..200}{1..2}", "{a,b}" * 200],
    ids=["range", "product", "nested", "range and list", "long"],
)
def test_braces_that_stand_for_too_much_are_refused(pattern: str) -> None:
    with pytest.raises(RefusedError, match="too many patterns"):
        expand(pattern)


def test_a_thousand_open_braces_are_just_text() -> None:
    assert expand("{" * 1000) == ["{" * 1000]
