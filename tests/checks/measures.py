"""Measures of source code: lengths, repeated names, small modules, cycles of imports. None of them reads a file."""

import ast
import math
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter

Sources = Mapping[str, str]  # text by path from the root
Edges = Mapping[str, set[str]]  # what each module imports


def count_lines(sources: Sources) -> int:
    """Return the lines of all sources together."""
    return sum(text.count("\n") for text in sources.values())


def percentile(values: Sequence[int], share: float) -> int:
    """Return the smallest value that at least this share of the values does not exceed."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def modules_of(sources: Sources) -> dict[str, ast.Module]:
    """Return the trees of the Python files that are not empty."""
    trees = {path: ast.parse(text) for path, text in sources.items() if path.endswith(".py")}
    return {path: tree for path, tree in trees.items() if tree.body}


def function_lengths(trees: Iterable[ast.Module]) -> list[int]:
    """Return the lines of each function and method."""
    return [
        (node.end_lineno or node.lineno) - node.lineno + 1
        for tree in trees
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]


def repeated_classes(trees: Iterable[ast.Module]) -> list[str]:
    """Return the class names that exist more than once."""
    names = Counter(node.name for tree in trees for node in ast.walk(tree) if isinstance(node, ast.ClassDef))
    return sorted(name for name, count in names.items() if count > 1)


def is_crumb(tree: ast.Module) -> bool:
    """Whether a module holds at most one class and one function."""
    classes = sum(isinstance(node, ast.ClassDef) for node in tree.body)
    functions = sum(isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) for node in tree.body)
    return classes <= 1 and functions <= 1


def sibling_cycles(imports: Edges) -> list[list[str]]:
    """Return a cycle for each folder whose modules and folders, each taken as one, import each other in a circle."""
    by_parent: dict[str, dict[str, set[str]]] = {}
    for importer, imported in imports.items():
        for other in imported:
            if pair := _apart(importer, other):
                parent, here, there = pair
                by_parent.setdefault(parent, {}).setdefault(here, set()).add(there)
    return [cycle for edges in by_parent.values() for cycle in _cycle_in(edges)]


def _apart(importer: str, imported: str) -> tuple[str, str, str] | None:
    """Return where two modules part: the folder of both, and what of it each is in; None where one holds the other."""
    ours, theirs = importer.split("."), imported.split(".")
    level = next((at for at, (one, other) in enumerate(zip(ours, theirs, strict=False)) if one != other), None)
    return (
        None if level is None else (".".join(ours[:level]), ".".join(ours[: level + 1]), ".".join(theirs[: level + 1]))
    )


def _cycle_in(edges: Edges) -> Iterator[list[str]]:
    try:
        TopologicalSorter(edges).prepare()
    except CycleError as error:
        yield list(reversed(error.args[1]))


def nested_cycles(imports: Edges) -> list[str]:
    """Return the folders that import modules of the folder around them, and are imported by such."""
    folders = {module.rpartition(".")[0] for module in imports}
    pairs = {
        (_folder_of(importer, folders), _folder_of(other, folders))
        for importer, imported in imports.items()
        for other in imported
    }
    return sorted(inner for outer, inner in pairs if inner.startswith(f"{outer}.") and (inner, outer) in pairs)


def _folder_of(module: str, folders: Container[str]) -> str:
    return module if module in folders else module.rpartition(".")[0]
