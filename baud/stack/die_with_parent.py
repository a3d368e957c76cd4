"""Runs a command that the kernel kills when its parent dies: `python -I -S die_with_parent.py PARENT_PID COMMAND...`.

It replaces itself with the command, so the process id and its signals are the command's own. The kernel
watches the thread that started the process; the launcher starts everything from its main thread, which lives as
long as it does. Where the kernel has no such call (macOS), the command survives its parent.
"""

import ctypes
import os
import signal
import sys

PR_SET_PDEATHSIG = 1  # from linux/prctl.h


def die_with(parent_pid: int) -> None:
    """Ask the kernel to kill this process when its parent dies; exit when the parent is gone already."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_PDEATHSIG) failed")
    if os.getppid() != parent_pid:
        sys.exit(1)


def main() -> None:
    """Ask to die with the parent, then become the command."""
    if sys.platform == "linux":
        die_with(int(sys.argv[1]))
    os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606 - becoming the command, without a shell, is the point


if __name__ == "__main__":
    main()
