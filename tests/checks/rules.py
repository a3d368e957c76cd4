"""The project's own rules; each is a function that yields the violations of a source file."""

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

_parser: Any = import_module("re._parser")  # the parser of re.compile

MAX_FILE_LINES: Final = 300
MAX_FUNCTION_LINES: Final = 40
MAX_TEST_LINES: Final = 60
MAX_TASK_LINES: Final = 15
_BANNED_NAMES: Final = {"utils.py", "helpers.py", "common.py", "misc.py"}
_PRODUCT: Final = ("baud/", "gateway/", "modem/", "shared/", "workflow/")
# The cluster itself, the place that chooses it, and the setting that asks for it.
_OF_THE_CLUSTER: Final = ("shared/store/cluster/", "shared/store/connection.py", "shared/settings/", "shared/config.py")


@dataclass(frozen=True, slots=True)
class Source:
    """One file: its name from the root, its text, its syntax tree."""

    name: str
    text: str
    tree: ast.Module

    @property
    def is_test(self) -> bool:
        """Whether the file belongs to the tests or the benchmarks."""
        return self.name.startswith(("tests/", "benchmarks/"))


def file_is_named_for_what_it_holds(source: Source) -> Iterator[str]:
    """A file called utils collects unrelated code."""
    if source.name.rsplit("/", 1)[-1] in _BANNED_NAMES:
        yield ": name the thing the file is about"


def file_is_short(source: Source) -> Iterator[str]:
    """A file is read at one sitting."""
    lines = source.text.count("\n")
    if lines > MAX_FILE_LINES and not source.is_test:
        yield f": {lines} lines, at most {MAX_FILE_LINES}"


def function_is_short(source: Source) -> Iterator[str]:
    """A function is read at a glance."""
    limit = MAX_TEST_LINES if source.is_test else MAX_FUNCTION_LINES
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > limit:
                yield f":{node.lineno}: {node.name} has {lines} lines, at most {limit}"


def package_init_is_empty(source: Source) -> Iterator[str]:
    """An __init__ that imports makes every import of the package pay for it; users import from one only."""
    if source.name.endswith("__init__.py") and source.name != "baud/__init__.py" and source.tree.body:
        yield ": leave it empty"


def settings_are_passed_on(source: Source) -> Iterator[str]:
    """A module-level settings value is a load at import and a hidden parameter of everything."""
    for node in source.tree.body:
        if isinstance(node, ast.Assign):
            names = {target.id for target in node.targets if isinstance(target, ast.Name)}
            if "settings" in names:
                yield f":{node.lineno}: pass settings as a parameter"


def fakes_are_named_fake(source: Source) -> Iterator[str]:
    """A fake is called Fake… or Scripted…, so that it is not taken for the real class, or for a test."""
    if not source.name.startswith("tests/fakes/fake_"):
        return
    for node in source.tree.body:
        if isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            yield f":{node.lineno}: call it Fake…"


def tests_wait_for_conditions(source: Source) -> Iterator[str]:
    """A sleep in a test is too long on a fast machine and too short on a slow one."""
    if "/test_" not in source.name:
        return
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func) in ("time.sleep", "asyncio.sleep"):
            delay = node.args[0] if node.args else None
            if not (isinstance(delay, ast.Constant) and delay.value == 0):
                yield f":{node.lineno}: wait for the condition instead"


def celery_task_is_thin(source: Source) -> Iterator[str]:
    """A task parses its job, calls one function and translates the error."""
    if not source.name.startswith("modem/task/"):
        return
    for node in ast.walk(source.tree):
        if isinstance(node, ast.FunctionDef) and any("task(" in ast.unparse(mark) for mark in node.decorator_list):
            lines = (node.end_lineno or node.lineno) - node.lineno + 1
            if lines > MAX_TASK_LINES:
                yield f":{node.lineno}: the task {node.name} has {lines} lines, at most {MAX_TASK_LINES}"


def cluster_has_one_folder(source: Source) -> Iterator[str]:
    """What runs on any Redis is read without knowing of a Redis Cluster: a StoreConnection hides where keys are."""
    if not source.name.startswith(_PRODUCT) or source.name.startswith(_OF_THE_CLUSTER):
        return
    for number, line in enumerate(source.text.splitlines(), 1):
        if "cluster" in line.lower():
            yield f":{number}: only shared/store/cluster knows of a cluster; say what holds for any StoreConnection"


def expressions_do_not_backtrack(source: Source) -> Iterator[str]:
    """Nested unbounded repeats can backtrack for years over a text of a hundred characters."""
    if source.is_test:
        return
    for node in ast.walk(source.tree):
        if not (isinstance(node, ast.Call) and ast.unparse(node.func).startswith("re.") and node.args):
            continue
        pattern = node.args[0]
        if isinstance(pattern, ast.Constant) and _repeats_repeats(_parser.parse(pattern.value)):
            yield f":{node.lineno}: bound the inner repeat, as in {{1,80}}, or compile it with re2"


def _repeats_repeats(parsed: Any, *, is_inside: bool = False) -> bool:
    """Whether a parsed expression has an unbounded repeat inside of another."""
    for operation, arguments in parsed:
        is_repeat = str(operation) in ("MAX_REPEAT", "MIN_REPEAT") and arguments[1] == _parser.MAXREPEAT
        if is_repeat and is_inside:
            return True
        if any(_repeats_repeats(part, is_inside=is_inside or is_repeat) for part in _parts(arguments)):
            return True
    return False


def _parts(arguments: Any) -> Iterator[Any]:
    """Yield the expressions that an operation holds, however deep its arguments are."""
    if isinstance(arguments, _parser.SubPattern):
        yield arguments
    elif isinstance(arguments, list | tuple):
        for argument in arguments:
            yield from _parts(argument)


RULES: Final[tuple[Callable[[Source], Iterator[str]], ...]] = (
    file_is_named_for_what_it_holds,
    file_is_short,
    function_is_short,
    package_init_is_empty,
    settings_are_passed_on,
    fakes_are_named_fake,
    tests_wait_for_conditions,
    celery_task_is_thin,
    cluster_has_one_folder,
    expressions_do_not_backtrack,
)
