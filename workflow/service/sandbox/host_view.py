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

# What programs in a `bin` need of the installation around it. Never the installation itself: an application may be one
# too, with its settings and keys beside its `bin`.
_SUPPORT_FOLDERS: Final = ("bin", "sbin", "lib", "lib64", "libexec", "share", "include")
# By what an installation is known, and what else its programs need of it.
_INSTALLATIONS: Final = (
    ("pyvenv.cfg", ("pyvenv.cfg",)),
    ("lib/python3*", ()),
    ("lib/node_modules", ()),
    ("lib/rustlib", ()),
    ("lib/ruby", ()),
    ("lib/*.jar", ("boot",)),  # Gradle, Kotlin, Maven
    ("lib/modules", ("conf", "jmods", "legal", "release")),  # Java
    ("pkg/tool", ("pkg", "src", "VERSION", "go.env")),  # Go
    ("libexec/*env", ("completions", "plugins", "shims", "src", "version", "versions")),  # pyenv, rbenv, nodenv
    ("asdf.sh", ("asdf.sh", "defaults", "installs", "plugins", "shims")),
)


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

    That is the folder itself and, of a known kind of installation around a `bin` folder (Python's for
    /opt/python/bin), what its programs need. A folder that would show any of `hidden` is left out.
    """
    kept_back = tuple(hidden)
    found: dict[Path, None] = {}
    for entry in map(Path, path):
        if entry.is_dir():
            found.update(dict.fromkeys(_needed_for(entry, home)))
            python = entry / "python3"
            if python.is_symlink() and python.exists():  # an environment's python lives in another installation
                found.update(dict.fromkeys(_needed_for(python.resolve().parent, home)))
    wanted = [folder for folder in found if not any(is_below(secret, folder) for secret in kept_back)]
    return tuple(folder for folder in wanted if not _is_system(folder))


def _needed_for(folder: Path, home: Path) -> tuple[Path, ...]:
    """Return the folder and what belongs to the programs in it; no more than it where many tools share its parent."""
    parent = folder.parent
    shared_by_tools = len(parent.parts) < 3 or is_below(home, parent)
    own_of_home = parent.parent == home and folder.name != "shims"  # ~/.local, ~/.cargo hold more than tools
    if folder.name not in _TOOL_FOLDER_NAMES or shared_by_tools or own_of_home:
        return (folder,)
    further = [names for sign, names in _INSTALLATIONS if any(parent.glob(sign))]
    if not further:
        return (folder,)
    wanted = dict.fromkeys((folder.name, *_SUPPORT_FOLDERS, *(name for names in further for name in names)))
    return tuple(parent / name for name in wanted if _is_own(parent / name))


def _is_own(path: Path) -> bool:
    """Whether it is there and a link in its place leads to nothing outside of its folder."""
    return path.exists() and is_below(path.resolve(), path.parent.resolve())


def _is_system(folder: Path) -> bool:
    return any(is_below(folder, Path(system)) for system in ("/usr", *_SYSTEM_FOLDERS))
