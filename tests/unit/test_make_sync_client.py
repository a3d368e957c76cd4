"""The synchronous client is made from the asynchronous one, or the script says why it cannot be."""

from pathlib import Path

import pytest

from scripts.make_sync_client import NotConvertibleError, read_sources, synchronous

TEXTS = read_sources()
CLIENT, SENDER = TEXTS


def edited(source: Path, text: str) -> dict[Path, str]:
    return {**TEXTS, source: text}


def test_the_synchronous_client_is_what_the_script_makes() -> None:
    made = synchronous(TEXTS)
    assert [target.name for target in made] == ["sync_client.py", "sync_sender.py"]
    for target, text in made.items():
        assert text == target.read_text("utf-8")


@pytest.mark.parametrize("source", TEXTS, ids=lambda source: source.name)
def test_a_word_that_no_rule_covers_is_refused(source: Path) -> None:
    gathering = TEXTS[source] + "\n\nasync def both() -> None:\n    await asyncio.gather()\n"
    with pytest.raises(NotConvertibleError, match=f"{source.name}: 'async' has no rule"):
        synchronous(edited(source, gathering))


def test_a_rule_without_use_is_refused() -> None:
    with pytest.raises(NotConvertibleError, match="aclose"):
        synchronous(edited(SENDER, TEXTS[SENDER].replace("aclose", "close")))
