"""Replaces known values in text, whole or as it comes in pieces."""

import re
from collections.abc import Iterable, Sequence

from shared.redaction import MASK


class SecretValues:
    """Values to be masked; where several begin at one place, the longest is the one that is meant."""

    def __init__(self, values: Iterable[str]) -> None:
        self.values = tuple(sorted({value for value in values if value}, key=lambda each: (-len(each), each)))
        self._pattern = re.compile("|".join(map(re.escape, self.values))) if self.values else None

    def mask(self, text: str) -> str:
        """Return a whole text with each value replaced."""
        return self._pattern.sub(MASK, text) if self._pattern else text

    def split(self, text: str) -> tuple[str, str]:
        """Return what can be told of a text that may go on, masked, and its end that may yet become a value."""
        if self._pattern is None:
            return text, ""
        told: list[str] = []
        place = 0
        while True:
            match = self._pattern.search(text, place)
            open_from = self._open_from(text, place)
            if open_from <= (match.start() if match else len(text)):
                return "".join((*told, text[place:open_from])), text[open_from:]
            assert match is not None
            told += (text[place : match.start()], MASK)
            place = match.end()

    def _open_from(self, text: str, place: int) -> int:
        """Return where the first value begins that the text breaks off in; the end of the text if there is none."""
        first = len(text)
        for value in self.values:
            at = text.find(value[0], max(place, len(text) - len(value) + 1))
            while 0 <= at < first:
                if value.startswith(text[at:]):
                    first = at
                at = text.find(value[0], at + 1)
        return first


class MaskedStream:
    """One text that comes in pieces, masked by each of `stages` in turn exactly as the whole text would be."""

    def __init__(self, stages: Sequence[SecretValues]) -> None:
        self._stages = stages
        self._held = [""] * len(stages)

    def feed(self, piece: str) -> str:
        """Return what can be told now; an end that may be the beginning of a value waits for the next piece."""
        for number, values in enumerate(self._stages):
            piece, self._held[number] = values.split(self._held[number] + piece)
        return piece

    def finish(self) -> str:
        """Return what waits: the text has ended."""
        rest = ""
        for number, values in enumerate(self._stages):
            rest = values.mask(self._held[number] + rest)
        self._held = [""] * len(self._stages)
        return rest
