"""A program of a user's: reads a thread with the SDK of one version, and prints each event as a line of JSON.

    python sdk_reader.py MODULE THREAD ENDS URL …

It ends when so many runs have ended. Every version's interpreter runs this file, so it imports nothing else of Baud.
"""

import importlib
import json
import sys


def main(module: str, thread_id: str, ends: int, urls: list[str]) -> None:
    """Print the events; `module` is where this version keeps its class Baud."""
    with importlib.import_module(module).Baud(urls) as baud:
        for event in baud.stream(thread_id, stay_when_idle=True):
            if event.id is None:
                continue
            sys.stdout.write(json.dumps({"id": event.id, "data": event.data}, separators=(",", ":")) + "\n")
            sys.stdout.flush()
            ends -= event.is_completion
            if not ends:
                return


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4:])
