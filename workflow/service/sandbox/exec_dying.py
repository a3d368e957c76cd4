"""Becomes a command that the kernel kills when its parent ends: what setpriv does where it is installed.

Run as a file, with the parent's process id and the command. Standard library only. Source: prctl(2), PR_SET_PDEATHSIG.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1
_CANNOT_EXECUTE = 126


def main() -> None:
    """Set the signal, make sure that the parent has not ended before that, and become the command."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL):
        raise OSError(ctypes.get_errno(), "prctl")
    if os.getppid() != int(sys.argv[1]):
        os.kill(os.getpid(), signal.SIGKILL)
    try:
        os.execvp(sys.argv[2], sys.argv[2:])  # noqa: S606 - the command is an argv
    except OSError as error:
        sys.stderr.write(f"{sys.argv[2]}: {error.strerror}\n")
        sys.exit(_CANNOT_EXECUTE)


if __name__ == "__main__":
    main()
