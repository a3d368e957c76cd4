"""`baud up` with a fake gateway and a fake modem, for tests of the launcher: `python -m tests.fakes.fake_stack DIR`.

The fake modem writes what it still reaches when it is told to stop into DIR/modem-stop. With --real-services only the
disk is a fake: as long as there is a file DIR/full, no file of the store grows beyond the bytes that stand in it.
"""

import argparse
import asyncio
import os
import resource
import signal
import socket
import sys
from pathlib import Path
from types import FrameType

from baud.stack.embedded_redis import find_binary
from baud.stack.serve import serve
from baud.stack_options import StackCommands, StackOptions

_GATEWAY = (sys.executable, "-m", "tests.fakes.fake_gateway", "--modems", "2")
_SELF = (sys.executable, "-m", "tests.fakes.fake_stack")
_MODEM = (*_SELF, "--as-modem")
_BROKEN = (sys.executable, "-c", "import sys; sys.exit('no model is configured')")
COMMANDS = StackCommands(gateway=_GATEWAY, modem=_MODEM)
BROKEN_COMMANDS = StackCommands(gateway=_GATEWAY, modem=_BROKEN)


def _become_store(folder: Path) -> None:
    full = folder / "full"
    if full.exists():
        limit = int(full.read_text())
        # What is cut short fails with EFBIG where a full disk says ENOSPC; Python has SIGXFSZ ignored already.
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    os.execv(find_binary(), (find_binary(), "/dev/stdin"))


def _commands(arguments: argparse.Namespace) -> StackCommands:
    if arguments.real_services:
        return StackCommands(
            redis=(sys.executable, "-m", "tests.fakes.fake_stack", str(arguments.folder), "--as-store")
        )
    if arguments.broken_modem:
        return BROKEN_COMMANDS
    if arguments.stubborn_modem:
        return StackCommands(gateway=_GATEWAY, modem=(*_MODEM, "--stubborn-modem"))
    return COMMANDS


def _reaches(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _serve_as_modem(folder: Path, *, is_stubborn: bool) -> None:
    def stop(number: int, frame: FrameType | None) -> None:
        redis, gateway = int((folder / "redis" / "port").read_text()), int(os.environ["BAUD_GATEWAY__PORT"])
        (folder / "modem-stop").write_text(f"redis={_reaches(redis)} gateway={_reaches(gateway)}")
        if not is_stubborn:
            sys.exit(0)

    signal.signal(signal.SIGTERM, stop)
    (folder / f"modem-alive-{os.getpid()}").touch()
    while True:
        signal.pause()


def main() -> None:
    """Run the stack, or one process of it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path, nargs="?", default=os.environ.get("BAUD_DATA_DIR"))
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--as-modem", action="store_true")
    parser.add_argument("--as-store", action="store_true")
    parser.add_argument("--real-services", action="store_true")
    parser.add_argument("--broken-modem", action="store_true")
    parser.add_argument("--stubborn-modem", action="store_true", help="go on after SIGTERM")
    arguments = parser.parse_args()
    if arguments.as_modem:
        _serve_as_modem(Path(arguments.folder), is_stubborn=arguments.stubborn_modem)
    if arguments.as_store:
        _become_store(Path(arguments.folder))
    workers = 1 if arguments.real_services else 2
    commands = _commands(arguments)
    options = StackOptions(data_dir=arguments.folder, port=arguments.port, workers=workers, commands=commands)
    asyncio.run(serve(options))


if __name__ == "__main__":
    main()
