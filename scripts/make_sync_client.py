"""Makes the sync_*.py of baud/sdk from their async_*.py; `make check` refuses one that is not what this makes.

They differ in words, so words are all that is replaced; what no rule covers is refused, not guessed.
"""

import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

_SDK: Final = Path(__file__).parents[1] / "baud" / "sdk"
SOURCES: Final = (_SDK / "async_client.py", _SDK / "async_sender.py")
HOW: Final = "make format"
_HEADER: Final = f"# Made from {{}} by scripts/{Path(__file__).name}: change that file, then run `{HOW}`.\n"
# In this order; each stands in a source, or the script fails.
_WORDS: Final = (
    (r"async (def|with|for)\b", r"\1"),
    (r"\bawait ", ""),
    (r"__a(enter|exit)__", r"__\1__"),
    (r"\bAsyncGenerator\[(\w+), None\]", r"Generator[\1, None, None]"),
    (r"\bAsync(ApiKey|Baud|Credential|Generator|Iterator|Sender)\b", r"\1"),
    (r"\basync_sender\b", "sync_sender"),
    (r"\bhttpx\.Async(Client|BaseTransport)\b", r"httpx.\1"),
    (r"\banext\(", "next("),
    (r"\.aclose\(", ".close("),
    (r"\.aiter_bytes\(", ".iter_bytes("),
    (r"\bimport asyncio\b", "import time"),
    (r"\basyncio\.sleep\(", "time.sleep("),
    # What the docstrings say.
    (r"\basynchronous client\b", "synchronous client"),
    (r", for asyncio\b", ""),
    (r", async or not,", ","),
    (r"\ban async (context manager)\b", r"a \1"),
)
_LEFT_OVER: Final = re.compile(r"async|await|\banext\b|\baclose\b", re.IGNORECASE)
# Other names sort differently, and what had to be `for …: yield` may be `yield from`.
_FIX: Final = ("check", "--fix-only", "--unsafe-fixes", "--select", "I001,UP028")


class NotConvertibleError(Exception):
    """The asynchronous client holds something that no rule of `_WORDS` covers, or no longer what one is about."""


def read_sources() -> dict[Path, str]:
    """Return the text of each file that a synchronous one is made from."""
    return {source: source.read_text("utf-8") for source in SOURCES}


def synchronous(texts: Mapping[Path, str]) -> dict[Path, str]:
    """Return the synchronous forms of asynchronous files, by the files they belong into; raises NotConvertibleError."""
    texts = dict(texts)
    for pattern, replacement in _WORDS:
        replaced = {source: re.subn(pattern, replacement, text) for source, text in texts.items()}
        if not any(count for _, count in replaced.values()):
            raise NotConvertibleError(f"nothing is like {pattern!r} any more: remove the rule")
        texts = {source: text for source, (text, _) in replaced.items()}
    return {_target_of(source): _finished(source, text) for source, text in texts.items()}


def _target_of(source: Path) -> Path:
    return source.with_name(source.name.removeprefix("a"))


def _finished(source: Path, text: str) -> str:
    found = _LEFT_OVER.search(text)
    if found:
        raise NotConvertibleError(f"{source.name}: {found[0]!r} has no rule for the synchronous client: add one")
    return _HEADER.format(source.name) + _ruff("format", text=_ruff(*_FIX, text=text))


def _ruff(*arguments: str, text: str) -> str:
    command = (sys.executable, "-m", "ruff", *arguments, "--quiet", "--stdin-filename", str(_SDK / "sync.py"), "-")
    done = subprocess.run(command, input=text, stdout=subprocess.PIPE, text=True, check=True, encoding="utf-8")
    return done.stdout


if __name__ == "__main__":
    for target, made in synchronous(read_sources()).items():
        target.write_text(made, "utf-8")
