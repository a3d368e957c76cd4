"""The synchronous client is made from the asynchronous one, or the script says why it cannot be."""

import pytest

from scripts.make_sync_client import SOURCE, TARGET, NotConvertibleError, synchronous

CLIENT = SOURCE.read_text("utf-8")


def test_the_synchronous_client_is_what_the_script_makes() -> None:
    assert synchronous(CLIENT) == TARGET.read_text("utf-8")


def test_a_word_that_no_rule_covers_is_refused() -> None:
    gathering = CLIENT + "\n\nasync def both() -> None:\n    await asyncio.gather()\n"
    with pytest.raises(NotConvertibleError, match="'async' has no rule"):
        synchronous(gathering)


def test_a_rule_without_use_is_refused() -> None:
    with pytest.raises(NotConvertibleError, match="aclose"):
        synchronous(CLIENT.replace("aclose", "close"))
