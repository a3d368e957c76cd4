"""The code templates that come with the package: what there is, and the files of one for a given app."""

import tomllib
from importlib.resources import files
from importlib.resources.abc import Traversable
from typing import Final

from pydantic import BaseModel, ConfigDict

PLACEHOLDER: Final = "{{app_name}}"

_MANIFEST: Final = "template.toml"


class Template(BaseModel):
    """The manifest of one template; `start` and `install` are shell commands for the app's folder."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    description: str
    start: str
    install: str = ""
    port: int

    @property
    def start_command(self) -> str:
        """The start command with its port in place."""
        return self.start.replace("{port}", str(self.port))


def template_folder() -> Traversable:
    """Return the folder of the package that holds one folder per template."""
    return files("workflow").joinpath("template")


def template_names(folder: Traversable) -> list[str]:
    """Return the names of the templates, sorted; each is a folder with a manifest."""
    return sorted(each.name for each in folder.iterdir() if each.joinpath(_MANIFEST).is_file())


def read_template(folder: Traversable, name: str) -> Template:
    """Return the manifest of a template that exists."""
    return Template.model_validate(tomllib.loads(folder.joinpath(name, _MANIFEST).read_text("utf-8")))


def template_files(folder: Traversable, name: str, app_name: str) -> dict[str, bytes]:
    """Return the template's files by their path in the app's folder, the app's name put in."""
    return {path: _fill(data, app_name) for path, data in _walk(folder.joinpath(name, "files"), "")}


def _walk(folder: Traversable, prefix: str) -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []
    for each in sorted(folder.iterdir(), key=lambda entry: entry.name):
        if each.is_dir():
            found += [] if each.name == "__pycache__" else _walk(each, f"{prefix}{each.name}/")
        else:
            found.append((f"{prefix}{each.name}", each.read_bytes()))
    return found


def _fill(data: bytes, app_name: str) -> bytes:
    return data.replace(PLACEHOLDER.encode(), app_name.encode())
