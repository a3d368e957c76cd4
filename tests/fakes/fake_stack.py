"""`baud up` with a fake gateway and a fake modem, for tests of the launcher: `python -m tests.fakes.fake_stack DIR`.

The fake modem writes what it still reaches when it is told to stop into DIR/modem-stop.
"""

import argparse
import asyncio
import os
import signal
import socket
import sys
from pathlib import Path
from types import FrameType

from client.command.up import serve
from client.stack_plan import StackCommands, StackOptions

_GATEWAY = (sys.executable, "-m", "tests.fakes.fake_gateway", "--modems", "2")
_MODEM = (sys.executable, "-m", "tests.fakes.fake_stack", "--as-modem")
_BROKEN = (sys.executable, "-c", "import sys; sys.exit('no model is configured')")
COMMANDS = StackCommands(gateway=_GATEWAY, modem=_MODEM)
BROKEN_COMMANDS = StackCommands(gateway=_GATEWAY, modem=_BROKEN)


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
    parser.add_argument("--broken-modem", action="store_true")
    parser.add_argument("--stubborn-modem", action="store_true", help="go on after SIGTERM")
    arguments = parser.parse_args()
    if arguments.as_modem:
        _serve_as_modem(Path(arguments.folder), is_stubborn=arguments.stubborn_modem)
    commands = BROKEN_COMMANDS if arguments.broken_modem else COMMANDS
    if arguments.stubborn_modem:
        commands = StackCommands(gateway=_GATEWAY, modem=(*_MODEM, "--stubborn-modem"))
    asyncio.run(serve(StackOptions(data_dir=arguments.folder, port=arguments.port, workers=2, commands=commands)))


if __name__ == "__main__":
    main()
