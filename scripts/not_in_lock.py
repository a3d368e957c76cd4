"""Print the installed distributions that a lock does not name; those that make the environment itself are none."""

import re
import sys
from importlib.metadata import distributions
from pathlib import Path

_OURS = {"baud", "pip", "setuptools", "wheel", "uv"}


def normalized(name: str) -> str:
    """Return the one form of a distribution's name."""
    return re.sub(r"[-_.]+", "-", name).lower()


def main(lock: str) -> None:
    """Print one name a line."""
    locked = {normalized(name) for name in re.findall(r"^([\w.-]+)", Path(lock).read_text("utf-8"), re.MULTILINE)}
    installed = {normalized(each.metadata["Name"]) for each in distributions()}
    sys.stdout.writelines(f"{name}\n" for name in sorted(installed - locked - _OURS))


if __name__ == "__main__":
    main(sys.argv[1])
