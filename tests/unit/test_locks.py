"""The locks are complete: installed without resolving, they have all that Baud and its tests require."""

import re
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
LOCKS = {"requirements.lock": {"build"}, "requirements-dev.lock": {"build", "dev"}}
COMMANDS = (ROOT / "Makefile", *(ROOT / "scripts").glob("*.*"), ROOT / ".ci" / "run")
_INSTALLS = re.compile(r"\b(?:uv|pip)\b.*\b(?:install|sync)\b")
_EXACT = re.compile(r"--no-deps|--require-hashes|\$\{exact\[@\]\}")


def pins(lock: str) -> dict[str, set[str]]:
    """Return each name with its versions: several where they depend on the platform."""
    found: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([\w.-]+)(?:\[[\w,.-]+\])?==([^\s;]+)", (ROOT / lock).read_text(), re.MULTILINE):
        found.setdefault(canonicalize_name(name), set()).add(version)
    return found


def requirements_of(name: str, extras: set[str], seen: set[tuple[str, str]]) -> Iterator[tuple[str, Requirement]]:
    """Yield each requirement on this platform and who requires it, from one distribution with its extras downward."""
    for line in distribution(name).requires or ():
        wanted = Requirement(line)
        for extra in ("", *extras):
            if wanted.marker is not None and not wanted.marker.evaluate({"extra": extra}):
                continue
            key = (canonicalize_name(wanted.name), ",".join(sorted(wanted.extras)))
            if key not in seen:
                seen.add(key)
                yield name, wanted
                yield from requirements_of(wanted.name, wanted.extras, seen)


@pytest.mark.parametrize("lock", LOCKS)
def test_everything_that_is_required_is_locked_and_installed(lock: str) -> None:
    locked, missing, count = pins(lock), [], 0
    for requiring, wanted in requirements_of("baud", LOCKS[lock], set()):
        count += 1
        version = installed_version(wanted.name)
        if version not in locked.get(canonicalize_name(wanted.name), ()) or version not in wanted.specifier:
            missing.append(f"{requiring} requires {wanted}; installed is {version}")
    assert missing == []
    assert count > 50


def installed_version(name: str) -> str:
    try:
        return distribution(name).version
    except PackageNotFoundError:
        return "nothing"


def test_the_lock_of_the_tests_holds_the_other_one() -> None:
    small, large = (pins(lock) for lock in LOCKS)
    assert {name: versions for name, versions in small.items() if large.get(name) != versions} == {}


def test_uv_itself_is_pinned_and_hashed() -> None:
    assert list(pins("bootstrap.lock")) == ["uv"]
    assert "--hash=sha256:" in (ROOT / "bootstrap.lock").read_text()


@pytest.mark.parametrize("file", COMMANDS, ids=lambda file: file.name)
def test_no_command_of_ours_lets_an_index_decide(file: Path) -> None:
    text = re.sub(r"\\\n\s*|fail \".*\"|^\s*#.*", " ", file.read_text("utf-8"), flags=re.MULTILINE)
    installing = [line.strip() for line in text.splitlines() if _INSTALLS.search(line)]
    assert [line for line in installing if not _EXACT.search(line)] == []
