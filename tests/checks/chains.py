"""Ways through the code, function by function: each step has to name the next one in its source.

So the number of files that a reader has to open to follow something is found, not claimed.
"""

import ast
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Final

_WORD: Final = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Step:
    """A function of a file; all of a Lua script where `name` is empty.

    `shared` is what this step has in common with the one before where neither calls the other: a task, a channel.
    """

    file: str
    name: str = ""
    shared: str = ""

    @property
    def word(self) -> str:
        """What the step before has to name."""
        return self.shared or self.name.rpartition(".")[2] or Path(self.file).stem


@dataclass(frozen=True, slots=True)
class Chain:
    """Ways that a reader has to go to understand one thing; `aim` is how many files may be on them at most."""

    title: str
    aim: int
    ways: Sequence[Sequence[Step]]

    def files(self) -> list[str]:
        """Return the files on the ways, in the order in which they are opened."""
        return list(dict.fromkeys(step.file for way in self.ways for step in way))

    def broken_links(self, root: Path) -> Iterator[str]:
        """Yield each step that does not exist, or that the step before does not lead to."""
        for way in self.ways:
            for step in way:
                if source_of(root, step) is None:
                    yield f"{step.file} has no {step.name or 'text'}"
            for here, there in pairwise(way):
                if not _leads(source_of(root, here) or "", source_of(root, there) or "", there):
                    yield f"{here.file} {here.name} does not lead to {there.word} of {there.file}"


def _leads(here: str, there: str, step: Step) -> bool:
    return step.word in _WORD.findall(here) and (not step.shared or step.shared in _WORD.findall(there))


def source_of(root: Path, step: Step) -> str | None:
    """Return the source of a step's function or script; None where there is none."""
    path = root / step.file
    if not path.is_file():
        return None
    if path.suffix == ".py":
        return _functions(path).get(step.name)
    text = path.read_text("utf-8")
    found = re.search(rf"^local function {step.name}\(.*?^end$", text, re.MULTILINE | re.DOTALL) if step.name else None
    return text if not step.name else found and found[0]


@cache
def _functions(path: Path) -> dict[str, str]:
    """Return the source of each function by its name with those of its classes and outer functions."""
    text = path.read_text("utf-8")
    found: dict[str, str] = {}

    def visit(node: ast.AST, prefix: str) -> None:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
                name = f"{prefix}{child.name}"
                if not isinstance(child, ast.ClassDef):
                    found[name] = ast.get_source_segment(text, child) or ""
                visit(child, f"{name}.")
            else:
                visit(child, prefix)

    visit(ast.parse(text), "")
    return found
