"""Builds baud-client from the project's one tree: `baud` without `baud.stack`, and with what it uses of `shared`.

An sdist holds the finished tree and the finished metadata, so that a wheel is made from it without the project.
"""

import ast
import os
import re
import tempfile
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final

from hatchling.builders.config import BuilderConfig
from hatchling.builders.hooks.plugin.interface import BuildHookInterface
from hatchling.metadata.plugin.interface import MetadataHookInterface
from packaging.requirements import Requirement

_COPIED_FIELDS: Final = ("version", "requires-python", "license")
# What `baud` uses of the packages that the client does not have, and the names under `baud` that it gets.
_TAKEN_ALONG: Final = {"shared.contract": "_contract", "shared.entry_points": "_entry_points"}
_SERVER_PACKAGES: Final = frozenset({"shared", "gateway", "modem", "workflow"})
# `baud.command.server_parts` alone may import it: it knows that it may be absent.
_LEFT_OUT: Final = "stack"


class ClientMetadata(MetadataHookInterface):
    """Copies fields of the project's own metadata; a requirement is taken over with its versions."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Fill the dynamic fields, unless they are those of an sdist."""
        if _is_sdist(Path(self.root)):
            return
        project = tomllib.loads((_project_folder(self.root) / "pyproject.toml").read_text("utf-8"))["project"]
        metadata.update({name: project[name] for name in _COPIED_FIELDS})
        required = {Requirement(line).name: line for line in project["dependencies"]}
        metadata["dependencies"] = [required[name] for name in self.config["dependencies"]]
        metadata["optional-dependencies"] = {
            extra: [required[name] for name in names] for extra, names in self.config["optional-dependencies"].items()
        }


class ClientTree(BuildHookInterface[BuilderConfig]):
    """Makes the package `baud` in a temporary folder and has it put into the wheel or sdist."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Name what is to be included."""
        included = build_data["force_include"]
        if _is_sdist(Path(self.root)):
            included[f"{self.root}/baud"] = "baud"
            return
        if version == "editable":
            raise ValueError("baud-client cannot be editable; the project itself can, and contains it")
        for source in list(included):  # in an sdist a link would lead out of it
            included[os.path.realpath(source)] = included.pop(source)
        self._folder = tempfile.TemporaryDirectory(prefix="baud-client-")
        write_client(_project_folder(self.root), Path(self._folder.name))
        included[self._folder.name] = "baud"

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove the temporary folder."""
        if not _is_sdist(Path(self.root)):
            self._folder.cleanup()


def _is_sdist(root: Path) -> bool:
    return (root / "PKG-INFO").exists()


def _project_folder(root: str) -> Path:
    return Path(root).parents[1]


def write_client(project: Path, folder: Path) -> None:
    """Write the package `baud` of the client into `folder`."""
    baud = project / "baud"
    _write_modules(baud, (file for file in baud.rglob("*.py") if file.relative_to(baud).parts[0] != _LEFT_OUT), folder)
    for module, name in _TAKEN_ALONG.items():
        source = project / module.replace(".", "/")
        if source.is_dir():
            _write_modules(source, source.rglob("*.py"), folder / name)
        else:
            _write_module(source.with_suffix(".py"), folder / f"{name}.py")


def _write_modules(source: Path, files: Iterable[Path], folder: Path) -> None:
    for file in files:
        _write_module(file, folder / file.relative_to(source))


def _write_module(file: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(client_module(file.read_text("utf-8"), file), "utf-8")


def client_module(text: str, file: Path) -> str:
    """Return a module with its imports of what is taken along rewritten; raises ValueError for one of the server's."""
    for module, name in _TAKEN_ALONG.items():
        text = re.sub(rf"^from {re.escape(module)}\b", f"from baud.{name}", text, flags=re.MULTILINE)
    servers = _SERVER_PACKAGES.intersection(_imported_packages(text))
    if servers:
        raise ValueError(f"{file} imports {', '.join(sorted(servers))}, which baud-client does not have")
    return text


def _imported_packages(text: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield (node.module or "").partition(".")[0]
