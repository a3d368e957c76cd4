"""Known values are found in any text and any split of it, in time linear in the text."""

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.secret_matcher import MaskedStream, SecretMatcher

# Few letters, so that values overlap, repeat themselves and begin alike.
LETTERS = 'ab"é'
VALUES = st.lists(st.text(LETTERS, min_size=1, max_size=6), min_size=1, max_size=4)
MASK = "#"


@st.composite
def split_texts(draw: st.DrawFn) -> tuple[list[str], list[str]]:
    """Return values, and a text in pieces that holds them complete and cut off."""
    values = draw(VALUES)
    parts = draw(st.lists(st.sampled_from(values) | st.text(LETTERS + "\ud800", max_size=9), max_size=8))
    text = "".join(parts)
    cuts = sorted(draw(st.lists(st.integers(0, len(text)), max_size=8)))
    return values, [text[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(text)], strict=True)]


def masked_slowly(values: list[str], text: str) -> str:
    """Mask each stretch that occurrences cover, naively."""
    covered = [False] * len(text)
    for value in values:
        for begin in range(len(text)):
            if text.startswith(value, begin):
                covered[begin : begin + len(value)] = [True] * len(value)
    masked = ""
    for place, character in enumerate(text):
        if not covered[place]:
            masked += character
        elif not place or not covered[place - 1]:
            masked += MASK
    return masked


@given(split_texts())
def test_a_text_is_masked_as_naively(case: tuple[list[str], list[str]]) -> None:
    values, pieces = case
    text = "".join(pieces)
    assert SecretMatcher(values, MASK).mask(text) == masked_slowly(values, text)


@given(split_texts())
def test_pieces_join_to_the_masked_text_and_nothing_is_emitted_too_early(case: tuple[list[str], list[str]]) -> None:
    values, pieces = case
    matcher = SecretMatcher(values, MASK)
    stream, emitted = MaskedStream(matcher), ""
    for number, piece in enumerate(pieces):
        emitted += stream.feed(piece)
        for value in values:  # emitted text stays correct whatever follows
            assert masked_slowly(values, "".join(pieces[: number + 1]) + value).startswith(emitted)
    assert emitted + stream.finish() == masked_slowly(values, "".join(pieces))


def test_text_without_a_value_is_emitted_at_once() -> None:
    stream = MaskedStream(SecretMatcher(["long-enough"], MASK))
    assert [stream.feed("a word "), stream.feed("and another long"), stream.finish()] == [
        "a word ",
        "and another ",
        "long",
    ]


class CountingMatcher(SecretMatcher):
    """Counts the characters that are read one by one."""

    read_characters = 0

    def read(self, state, text, place, found):  # type: ignore[no-untyped-def]  # the signature is the real one's
        self.read_characters += len(text)
        return super().read(state, text, place, found)


@pytest.mark.parametrize("size", [1, 7, 100_000], ids=["by character", "in pieces", "at once"])
def test_each_character_of_the_worst_text_is_read_once(size: int) -> None:
    matcher = CountingMatcher(["a" * 1000 + "b", *("a" * length + "c" for length in range(20, 900, 20))], MASK)
    text = "a" * 100_000
    matcher.read_characters = 0
    stream = MaskedStream(matcher)
    emitted = "".join(stream.feed(text[begin : begin + size]) for begin in range(0, len(text), size)) + stream.finish()
    assert emitted == text
    assert matcher.read_characters <= len(text)


def test_ten_thousand_values_cost_no_more_than_one() -> None:
    matcher = CountingMatcher([f"value-{number:08d}-of-many" for number in range(10_000)], MASK)
    matcher.read_characters = 0
    assert matcher.mask("value-00000007-of-many and value-0000 " * 1000) == "# and value-0000 " * 1000
    assert matcher.read_characters <= 38_000
    assert matcher.mask("the quick brown fox " * 50_000) == "the quick brown fox " * 50_000
    assert matcher.read_characters <= 38_000, "a text without any beginning of a value is not read at all"


def test_values_of_any_length_and_none_at_all_are_fine() -> None:
    long = "".join(map(str, range(20_000)))
    assert SecretMatcher([long, ""], MASK).mask(f"<{long}>{long[:-1]}") == f"<#>{long[:-1]}"
    nothing = SecretMatcher([], MASK)
    assert (nothing.mask("text"), nothing.may_hold(b"text")) == ("text", False)
    assert MaskedStream(nothing).feed("text") == "text"


def test_a_value_in_json_bytes_is_noticed() -> None:
    matcher = SecretMatcher(["clé-secrète"], MASK)
    assert matcher.may_hold(orjson.dumps({"a": "la clé-secrète"}))
    assert not matcher.may_hold(orjson.dumps({"a": "la clef"}))
