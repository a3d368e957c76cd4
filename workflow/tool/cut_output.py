"""Cuts long output to its head and tail, with a line about what is left out."""


def cut_output(text: str, max_chars: int) -> tuple[str, bool]:
    """Return the text in at most `max_chars` characters plus one line, and whether it was cut."""
    if len(text) <= max_chars:
        return text, False
    head = max_chars // 2
    tail = max_chars - head
    note = f"\n[... {len(text) - max_chars} characters left out ...]\n"
    return text[:head] + note + text[-tail:], True
