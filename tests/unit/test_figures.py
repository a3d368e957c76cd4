"""`make figures` measures what it says, and the ways that it counts files on lead through the code."""

import ast
from pathlib import Path

import pytest

from tests.checks.chains import Chain, Step
from tests.checks.figures import Figure, is_product, read_commit, read_product, table
from tests.checks.measures import (
    function_lengths,
    is_crumb,
    modules_of,
    nested_cycles,
    percentile,
    repeated_classes,
    sibling_cycles,
)
from tests.checks.ways import CHAINS

ROOT = Path(__file__).parents[2]
ONE = Step("one.py", "Sender.send")
TWO = Step("two.py", "receive")


@pytest.fixture
def code(tmp_path: Path) -> Path:
    (tmp_path / "one.py").write_text("class Sender:\n    def send(self):\n        receive(1)\n")
    (tmp_path / "two.py").write_text("def receive(n):\n    call('store')\n\n\nTASK = 'store'\n")
    (tmp_path / "store.lua").write_text("local function notify(channel)\n  publish(channel)\nend\nnotify(ARGV[1])\n")
    return tmp_path


@pytest.mark.parametrize("chain", CHAINS, ids=lambda chain: chain.title)
def test_every_step_of_a_chain_exists_and_leads_to_the_next(chain: Chain) -> None:
    assert list(chain.broken_links(ROOT)) == []


def test_a_chain_that_holds_together_counts_each_file_once(code: Path) -> None:
    chain = Chain("a text", 3, ((ONE, TWO, Step("store.lua"), Step("store.lua", "notify")), (ONE, TWO)))
    assert chain.files() == ["one.py", "two.py", "store.lua"]
    assert list(chain.broken_links(code)) == []


@pytest.mark.parametrize(
    ("way", "finding"),
    [
        ((ONE, Step("two.py", "take")), "two.py has no take"),
        ((ONE, Step("gone.py", "receive")), "gone.py has no receive"),
        ((TWO, ONE), "two.py receive does not lead to send of one.py"),
        ((TWO, Step("store.lua", "notify")), "two.py receive does not lead to notify of store.lua"),
        ((TWO, Step("one.py", "Sender.send", shared="store")), "two.py receive does not lead to store of one.py"),
    ],
    ids=["a function is gone", "a file is gone", "no call", "no call of a script", "nothing shared"],
)
def test_a_broken_chain_says_where(code: Path, way: tuple[Step, ...], finding: str) -> None:
    assert finding in list(Chain("a text", 3, (way,)).broken_links(code))


def test_the_product_is_source_without_tests_and_templates() -> None:
    assert is_product("gateway/core/main.py")
    assert is_product("shared/store/lua/append_run.lua")
    assert is_product("shared/settings/template.py")
    assert not is_product("workflow/template/fastapi/files/app/main.py")
    assert not is_product("tests/checks/rules.py")
    assert not is_product("gateway/core/README.md")
    assert not is_product("setup.py")


def test_the_present_source_is_read_and_so_is_a_commit() -> None:
    sources = read_product(ROOT)
    assert {"gateway/core/main.py", "shared/store/lua/append_run.lua"} <= sources.keys()
    assert read_commit(ROOT, "no-such-commit") is None


def test_functions_are_measured_with_their_first_and_last_line() -> None:
    tree = ast.parse("def one():\n    pass\n\nclass C:\n    async def two(self):\n\n        return 1\n")
    assert sorted(function_lengths([tree])) == [2, 3]


@pytest.mark.parametrize(("share", "expected"), [(0.5, 10), (0.95, 19), (1.0, 20)])
def test_a_percentile_is_a_value_that_occurs(share: float, expected: int) -> None:
    assert percentile(range(20, 0, -1), share) == expected


def test_a_class_name_that_exists_twice_is_found_also_inside_another_class() -> None:
    trees = [ast.parse("class A: pass\nclass B:\n    class C: pass\n"), ast.parse("class C: pass\n")]
    assert repeated_classes(trees) == ["C"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("class A: pass\ndef f(): pass\n", True),
        ("X = 1\n", True),
        ("def f(): pass\nasync def g(): pass\n", False),
        ("class A: pass\nclass B: pass\n", False),
    ],
)
def test_a_module_of_one_class_and_one_function_is_a_crumb(text: str, expected: bool) -> None:
    assert is_crumb(ast.parse(text)) is expected


def test_empty_modules_are_no_modules() -> None:
    assert modules_of({"a/__init__.py": "", "a/b.py": "X = 1\n", "a/c.lua": "return 1\n"}).keys() == {"a/b.py"}


def test_a_cycle_is_found_between_what_stands_side_by_side() -> None:
    imports = {
        "a.one.x": {"a.two.y"},
        "a.two.z": {"a.one.w"},  # not through the same modules, but the two folders import each other
        "a.main": {"a.one.x"},
        "b": {"a.main"},
    }
    assert [sorted(set(cycle)) for cycle in sibling_cycles(imports)] == [["a.one", "a.two"]]
    assert sibling_cycles({"a.main": {"a.one.x"}, "a.one.x": {"a.errors"}}) == []


def test_a_folder_in_a_cycle_with_the_one_around_it_is_named() -> None:
    imports = {"a.main": {"a.one.x"}, "a.one.x": {"a.errors"}, "a.two.y": {"a.errors"}}
    assert nested_cycles(imports) == ["a.one"]


def test_the_table_says_hit_or_miss_where_there_is_an_aim() -> None:
    figures = [Figure("cycles", "none", "none", True), Figure("files", "17", "<= 12", False), Figure("modules", "290")]
    assert table(figures).splitlines() == [
        "figure   value  aim",
        "cycles   none   none   hit",
        "files    17     <= 12  MISS",
        "modules  290",
    ]
