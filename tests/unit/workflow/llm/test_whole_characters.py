"""WholeCharacters: characters that a provider split over two deltas are joined."""

import pytest

from workflow.llm.whole_characters import WholeCharacters, repair


def test_a_character_cut_in_two_is_joined() -> None:
    characters = WholeCharacters()
    assert [characters.feed(piece) for piece in ("hi \ud83d", "\ude00 there")] == ["hi ", "\U0001f600 there"]


def test_plain_text_passes_at_once() -> None:
    characters = WholeCharacters()
    assert [characters.feed(piece) for piece in ("", "a", "é", "\U0001f600")] == ["", "a", "é", "\U0001f600"]


@pytest.mark.parametrize("piece", ["\ude00", "\ud83dx", "\ud83d\ud83dx"])
def test_what_cannot_be_joined_is_replaced(piece: str) -> None:
    text = WholeCharacters().feed(piece)
    assert "\ufffd" in text
    assert text.encode()


def test_repair_leaves_valid_text_alone() -> None:
    assert repair("a\U0001f600b") == "a\U0001f600b"
    assert repair('{"cmd": "\ud83d\ude00"}') == '{"cmd": "\U0001f600"}'
