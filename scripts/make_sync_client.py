"""Makes baud/sdk/sync_client.py from async_client.py; `make check` refuses one that is not what this makes.

The two differ in words, so words are all that is replaced; what no rule covers is refused, not guessed.
"""

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

_SDK: Final = Path(__file__).parents[1] / "baud" / "sdk"
SOURCE: Final = _SDK / "async_client.py"
TARGET: Final = _SDK / "sync_client.py"
HOW: Final = "make format"
_HEADER: Final = f"# Made from {SOURCE.name} by scripts/{Path(__file__).name}: change that file, then run `{HOW}`.\n"
# In this order; each stands in the source, or the script fails.
_WORDS: Final = (
    (r"async (def|with|for)\b", r"\1"),
    (r"\bawait ", ""),
    (r"__a(enter|exit)__", r"__\1__"),
    (r"\bAsyncGenerator\[(\w+), None\]", r"Generator[\1, None, None]"),
    (r"\bAsync(Generator|Iterator|Baud)\b", r"\1"),
    (r"\bhttpx\.Async(Client|BaseTransport)\b", r"httpx.\1"),
    (r"\banext\(", "next("),
    (r"\.aclose\(", ".close("),
    (r"\.aiter_bytes\(", ".iter_bytes("),
    (r"\bimport asyncio\b", "import time"),
    (r"\basyncio\.sleep\(", "time.sleep("),
    # What the docstrings say.
    (r"\basynchronous client\b", "synchronous client"),
    (r", for asyncio\b", ""),
    (r"\ban async (context manager)\b", r"a \1"),
)
_LEFT_OVER: Final = re.compile(r"async|await|\banext\b|\baclose\b", re.IGNORECASE)
# Other names sort differently, and what had to be `for …: yield` may be `yield from`.
_FIX: Final = ("check", "--fix-only", "--unsafe-fixes", "--select", "I001,UP028")


class NotConvertibleError(Exception):
    """The asynchronous client holds something that no rule of `_WORDS` covers, or no longer what one is about."""


def synchronous(text: str) -> str:
    """Return the synchronous form of the asynchronous client's text; raises NotConvertibleError."""
    for pattern, replacement in _WORDS:
        text, count = re.subn(pattern, replacement, text)
        if not count:
            raise NotConvertibleError(f"{SOURCE.name} has nothing like {pattern!r} any more: remove the rule")
    found = _LEFT_OVER.search(text)
    if found:
        raise NotConvertibleError(f"{SOURCE.name}: {found[0]!r} has no rule for the synchronous client: add one")
    return _HEADER + _ruff("format", text=_ruff(*_FIX, text=text))


def _ruff(*arguments: str, text: str) -> str:
    command = (sys.executable, "-m", "ruff", *arguments, "--quiet", "--stdin-filename", str(TARGET), "-")
    done = subprocess.run(command, input=text, stdout=subprocess.PIPE, text=True, check=True, encoding="utf-8")
    return done.stdout


if __name__ == "__main__":
    TARGET.write_text(synchronous(SOURCE.read_text("utf-8")), "utf-8")
