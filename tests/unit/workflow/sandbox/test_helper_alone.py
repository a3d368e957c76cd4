"""The helper is a program of its own: it needs nothing but the standard library, and its package nothing around it."""

import ast
import sys
from pathlib import Path

import workflow.service.sandbox.file_helper as package

FILES = sorted(Path(package.__path__[0]).glob("*.py"))


def test_the_helper_imports_the_standard_library_and_itself() -> None:
    foreign = set()
    for file in FILES:
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                foreign |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                foreign.add((node.module or "").partition(".")[0])
    assert len(FILES) > 10
    assert foreign <= sys.stdlib_module_names
