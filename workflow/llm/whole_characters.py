"""Text made fit for UTF-8: a provider's JSON may cut a character in two, half a surrogate pair in each delta."""


def repair(text: str) -> str:
    """Return the text with pairs joined and lone halves replaced by U+FFFD."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


class WholeCharacters:
    """Passes pieces on, the first half of a character held back until the second comes."""

    def __init__(self) -> None:
        self._held = ""

    def feed(self, piece: str) -> str:
        """Take a piece and return what is whole by now."""
        text = self._held + piece
        self._held = text[-1:] if "\ud800" <= text[-1:] <= "\udbff" else ""
        return repair(text[: len(text) - len(self._held)])
