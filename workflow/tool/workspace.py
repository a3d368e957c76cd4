"""Paths of a workspace as tools see them; failures become messages for the model."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import Final

from workflow.errors import SandboxError, SandboxUnavailableError, ToolError
from workflow.service.sandbox.base import Sandbox

MAX_PATH_CHARS: Final = 4096  # as PATH_MAX: a longer one is of no use to any command


@contextmanager
def file_errors(path: str, *passing: type[SandboxError]) -> Iterator[None]:
    """Turn file system errors for `path` into ToolError; a lost sandbox and `passing` are raised unchanged.

    The message names the file of the error, if it has one.
    """
    try:
        with _named(path):
            yield
    except SandboxError as error:
        if isinstance(error, (SandboxUnavailableError, *passing)):
            raise
        raise ToolError(error.message) from error


@contextmanager
def _named(path: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise ToolError(f"{_name(error, path)} does not exist. Use glob or ls to find the right path.") from error
    except IsADirectoryError as error:
        raise ToolError(f"{_name(error, path)} is a folder, not a file. Use ls to see what is in it.") from error
    except NotADirectoryError as error:
        raise ToolError(f"{_name(error, path)} is not a folder, or a part of its path is a file.") from error
    except OSError as error:
        reason = error.strerror or "the system refused"
        raise ToolError(f"{_name(error, path)} cannot be used: {reason}.") from error


def _name(error: OSError, path: str) -> str:
    return error.filename if isinstance(error.filename, str) and error.filename else path


async def relative_path(sandbox: Sandbox, path: str) -> str:
    """Return the path relative to the workspace (`.` for itself); a ToolError where it leads out."""
    with file_errors(path):
        inside = await sandbox.display_path(path)
    return str(PurePosixPath(inside).relative_to(sandbox.workspace))


async def require_path(sandbox: Sandbox, path: str) -> None:
    """Make sure that a file or folder is there; a ToolError says that it is not."""
    with file_errors(path):
        try:
            await sandbox.list_files(path, recursive=False, limit=1)
        except NotADirectoryError:
            await sandbox.read_file(path, 1)
