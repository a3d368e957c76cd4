"""Output keeps its head and tail within a bound and reaches the reader as complete characters."""

import asyncio

import pytest

from workflow.service.sandbox import output
from workflow.service.sandbox.output import HEAD_CHARS, TAIL_CHARS, OutputWindow, pump


def test_output_within_the_bound_is_kept_complete() -> None:
    window = OutputWindow()
    window.add("a" * HEAD_CHARS)
    window.add("b" * TAIL_CHARS)
    assert not window.truncated
    assert window.text() == "a" * HEAD_CHARS + "b" * TAIL_CHARS


@pytest.mark.parametrize("piece_chars", [1, 7, 4096, 1_000_000])
def test_a_long_output_keeps_head_and_tail_and_says_how_much_is_cut(piece_chars: int) -> None:
    window = OutputWindow()
    text = "start" + "x" * (HEAD_CHARS + TAIL_CHARS + 1000) + "end"
    for at in range(0, len(text), piece_chars):
        window.add(text[at : at + piece_chars])
    assert window.truncated
    cut = len(text) - HEAD_CHARS - TAIL_CHARS
    assert window.text() == f"{text[:HEAD_CHARS]}\n[... {cut} characters cut here ...]\n{text[-TAIL_CHARS:]}"


async def test_a_character_split_between_two_reads_is_joined(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(output, "PIECE_SECONDS", 0.0)
    reader, window, pieces = asyncio.StreamReader(), OutputWindow(), []
    first_seen = asyncio.Event()

    async def take(text: str) -> None:
        pieces.append(text)
        first_seen.set()

    pumping = asyncio.create_task(pump(reader, window, take))
    reader.feed_data(b"a\xe2\x82")
    await first_seen.wait()
    reader.feed_data(b"\xac b\xff")
    reader.feed_eof()
    await pumping
    assert "".join(pieces) == window.text() == "a€ b\N{REPLACEMENT CHARACTER}"
    assert pieces[0] == "a"


async def test_small_writes_are_joined_into_pieces() -> None:
    reader, pieces = asyncio.StreamReader(), []

    async def take(text: str) -> None:
        pieces.append(text)

    for _ in range(1000):
        reader.feed_data(b"0123456789")
    reader.feed_eof()
    await pump(reader, OutputWindow(), take)
    assert [len(piece) for piece in pieces] == [4096, 4096, 1808]
