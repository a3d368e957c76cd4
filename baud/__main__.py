"""`python -m baud` runs the `baud` command; without the packages of a terminal it says what to install."""

import sys

try:
    from baud.cli import main
except ModuleNotFoundError as error:
    if error.name not in ("rich", "typer"):
        raise
    # Programs that import the client do not need them: they are an extra of baud-client.
    _MISSING = error.name

    def main() -> None:
        """Say what the command needs, and exit with code 1."""
        sys.exit(f"baud: error: the command needs {_MISSING}: pip install 'baud-client[cli]'")


if __name__ == "__main__":
    main()
