"""What the offline model writes: a page, a small API, and the commands that check them."""

import html
import shlex
from collections.abc import Sequence

PAGE_MARK = "<!-- more -->"
NOTES_MARK = "Notes:"

_PAGE = """<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>{title}</title>
  <link rel="stylesheet" href="style.css">
</head>
<body>
  <main>
    <h1>{title}</h1>
{sections}
    {mark}
  </main>
  <footer><p>Made by Baud's offline model.</p></footer>
</body>
</html>
"""

API_CODE = '''"""A small API that tells its notes; they are read from notes.txt with every request."""

from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import PlainTextResponse

NOTES = Path(__file__).parent.parent / "notes.txt"

app = FastAPI(title="Notes")


@app.get("/health")
def health() -> dict[str, str]:
    return {"status": "healthy"}


@app.get("/")
def index() -> dict[str, list[str]]:
    return {"notes": [line[2:] for line in NOTES.read_text().splitlines() if line.startswith("- ")]}


@app.get("/notes", response_class=PlainTextResponse)
def notes() -> str:
    return NOTES.read_text()
'''

_FETCH = """
import html, sys, time, urllib.request
get = urllib.request.build_opener(urllib.request.ProxyHandler({})).open
for _ in range(60):
    try:
        body = get(sys.argv[1], timeout=2).read().decode()
        break
    except OSError:
        time.sleep(0.1)
else:
    sys.exit("no answer from " + sys.argv[1])
found = sys.argv[2] in body or sys.argv[2] in html.unescape(body)
print("PAGE" + ("_OK" if found else " came, but without the words"))
"""

_FREE_PORT = "import socket; s = socket.socket(); s.bind(('127.0.0.1', 0)); print('PORT=%d' % s.getsockname()[1])"

PROBE_FASTAPI = "python3 -c 'import fastapi, uvicorn' && echo FASTAPI_OK"


def page(title: str, sections: Sequence[str]) -> str:
    """Return a page with one section per text, everything escaped."""
    return _PAGE.format(
        title=html.escape(title), sections="\n".join(section(text) for text in sections), mark=PAGE_MARK
    )


def section(text: str) -> str:
    """Return one section of the page."""
    return f"    <section><p>{html.escape(text)}</p></section>"


def notes(texts: Sequence[str]) -> str:
    """Return the content of notes.txt."""
    return "\n".join([NOTES_MARK, *(f"- {text}" for text in texts), ""])


def find_words(path: str, words: str) -> str:
    """Return the command that looks for the words in the file; a shell is all it needs."""
    return f'[[ "$(<{shlex.quote(path)})" == *{shlex.quote(words)}* ]] && echo WORDS_FOUND'


def find_free_port() -> str:
    """Return the command that prints PORT= and a free port."""
    return f"python3 -c {shlex.quote(_FREE_PORT)}"


def fetch(url: str, words: str) -> str:
    """Return the command that waits for the server and looks for the words in its answer."""
    return f"python3 -c {shlex.quote(_FETCH)} {shlex.quote(url)} {shlex.quote(words)}"


def overwrite(path: str, content: str) -> str:
    """Return the command that writes the file with the shell alone."""
    folder = path.rpartition("/")[0] or "."
    return f"mkdir -p {shlex.quote(folder)} && printf %s {shlex.quote(content)} > {shlex.quote(path)}"
