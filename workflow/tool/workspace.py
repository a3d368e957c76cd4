"""Text files of a workspace as tools see them: bounded, decoded, failures as sentences for the model."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import PurePosixPath
from typing import Final

from workflow.errors import SandboxError, SandboxUnavailableError, ToolError
from workflow.service.sandbox.base import Sandbox

MAX_FILE_BYTES: Final = 10_000_000  # what one call holds in memory; several runs share a process
_PROBE_BYTES: Final = 8192  # a NUL this early marks a binary file, as git and grep have it


@contextmanager
def file_errors(path: str) -> Iterator[None]:
    """Turn what the file system says of `path` into a ToolError; a lost sandbox passes through."""
    try:
        yield
    except FileNotFoundError as error:
        raise ToolError(f"{path} does not exist. Use glob or ls to find the right path.") from error
    except IsADirectoryError as error:
        raise ToolError(f"{path} is a folder, not a file. Use ls to see what is in it.") from error
    except NotADirectoryError as error:
        raise ToolError(f"{path} is not a folder, or a part of its path is a file.") from error
    except OSError as error:
        raise ToolError(f"{path} cannot be used: {error.strerror or 'the system refused'}.") from error
    except SandboxUnavailableError:
        raise
    except SandboxError as error:
        raise ToolError(error.message) from error


def is_binary(data: bytes) -> bool:
    """Whether the bytes are something else than text."""
    return b"\0" in data[:_PROBE_BYTES]


async def read_for_edit(sandbox: Sandbox, path: str) -> str:
    """Return the whole text of a UTF-8 file, line ends untouched; a ToolError says why it cannot be edited."""
    with file_errors(path):
        data = await sandbox.read_file(path, MAX_FILE_BYTES + 1)
    if len(data) > MAX_FILE_BYTES:
        raise ToolError(f"{path} is larger than {MAX_FILE_BYTES} bytes; change it with a command in bash.")
    if is_binary(data):
        raise ToolError(f"{path} is a binary file and cannot be edited as text.")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ToolError(f"{path} is not UTF-8 text; convert it with iconv in bash before editing it.") from error


async def write_text(sandbox: Sandbox, path: str, text: str) -> None:
    """Write the file whole; a ToolError says why it cannot be written."""
    with file_errors(path):
        await sandbox.write_files({path: text.encode()})


def relative_path(sandbox: Sandbox, path: str) -> str:
    """Return the path relative to the workspace (`.` for itself); a ToolError where it leads out."""
    with file_errors(path):
        inside = sandbox.display_path(path)
    return str(PurePosixPath(inside).relative_to(sandbox.workspace))


async def require_path(sandbox: Sandbox, path: str) -> None:
    """Make sure that a file or folder is there; a ToolError says that it is not."""
    with file_errors(path):
        try:
            await sandbox.list_files(path, recursive=False, limit=1)
        except NotADirectoryError:
            await sandbox.read_file(path, 1)
