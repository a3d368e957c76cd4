"""What of the host a bubblewrap sandbox may see, read-only: system folders, a few of /etc, the tools on PATH."""

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from workflow.service.sandbox.isolation import is_below

_SYSTEM_FOLDERS: Final = ("/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")

# What programs need to resolve names, check certificates, load libraries and know the time. Left out on
# purpose: everything that may hold a secret (shadow, ssl/private, pip.conf, npmrc, gitconfig, maven).
_ETC: Final = (
    "alternatives", "ca-certificates", "crypto-policies", "debian_version", "fonts", "gai.conf", "host.conf", "hosts",
    "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "locale.alias", "localtime", "magic", "mime.types", "nsswitch.conf",
    "os-release", "perl", "pki/ca-trust/extracted", "pki/tls/cert.pem", "pki/tls/certs", "protocols", "python3",
    "resolv.conf", "services", "ssl/cert.pem", "ssl/certs", "ssl/openssl.cnf", "timezone",
)  # fmt: skip
_ETC_PATTERNS: Final = ("python3.*", "java-*-openjdk")
_TOOL_FOLDER_NAMES: Final = frozenset({"bin", "sbin", "shims"})


def system_arguments() -> list[str]:
    """Return bubblewrap's options for the host's programs and the part of /etc that they need."""
    arguments = ["--ro-bind", "/usr", "/usr"]
    for folder in map(Path, _SYSTEM_FOLDERS):
        if folder.is_symlink():
            arguments += ["--symlink", os.readlink(folder), str(folder)]
        elif folder.exists():
            arguments += ["--ro-bind", str(folder), str(folder)]
    etc = Path("/etc")
    wanted = [etc / name for name in _ETC] + [found for pattern in _ETC_PATTERNS for found in sorted(etc.glob(pattern))]
    for path in wanted:
        if path.exists():
            arguments += ["--ro-bind", str(path), str(path)]
    return arguments


def tool_folders(path: Sequence[str], home: Path, hidden: Iterable[Path]) -> tuple[Path, ...]:
    """Return what must be visible beside the system folders for the programs on PATH to work.

    That is the installation around a `bin` folder (/opt/node for /opt/node/bin), but only the `bin`
    folder itself where its parent holds more than one tool: the home folder, ~/.local, ~/.cargo, /opt.
    A folder that would show any of `hidden` is left out.
    """
    kept_back = tuple(hidden)
    found: dict[Path, None] = {}
    for entry in map(Path, path):
        if entry.is_dir():
            found[_installation(entry, home)] = None
            python = entry / "python3"
            if python.is_symlink() and python.exists():  # an environment's python lives in another installation
                found[_installation(python.resolve().parent, home)] = None
    wanted = [folder for folder in found if not any(is_below(secret, folder) for secret in kept_back)]
    return tuple(folder for folder in wanted if not _is_system(folder))


def _installation(folder: Path, home: Path) -> Path:
    """Return the folder that holds the whole tool, or the given one where that would show too much."""
    parent = folder.parent
    shared_by_tools = len(parent.parts) < 3 or is_below(home, parent)
    own_of_home = parent.parent == home and folder.name != "shims"  # pyenv and its like keep all in one folder
    if folder.name not in _TOOL_FOLDER_NAMES or shared_by_tools or own_of_home:
        return folder
    return parent


def _is_system(folder: Path) -> bool:
    return any(is_below(folder, Path(system)) for system in ("/usr", *_SYSTEM_FOLDERS))
