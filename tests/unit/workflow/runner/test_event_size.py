"""The size of an event is bounded, whatever a model or a tool puts in."""

import orjson
import pytest
from pydantic import JsonValue

from workflow.journal.event_size import MAX_EVENT_BYTES, bounded


def test_ordinary_members_are_left_alone() -> None:
    members: dict[str, JsonValue] = {"files": [{"file_path": "a", "content": "x" * 100_000}]}
    assert bounded(members) is members


def test_long_texts_lose_their_middle_and_short_ones_stay() -> None:
    shown = bounded({"path": "a.py", "edits": [{"old": "<" + "x" * 1_000_000 + ">", "new": "y"}]})
    assert shown["path"] == "a.py"
    (edit,) = orjson.loads(orjson.dumps(shown["edits"]))
    assert edit["new"] == "y"
    assert edit["old"].startswith("<xxx")
    assert edit["old"].endswith("xxx>")
    assert "characters left out" in edit["old"]
    assert len(orjson.dumps(shown)) <= MAX_EVENT_BYTES


@pytest.mark.parametrize(
    "members",
    [
        {"list": ["x" * 100] * 50_000},
        {"text": "x" * 20_000_000},
        {f"key{number}": "x" * 100 for number in range(50_000)},
        {"k" * 1_000_000: "x"},
    ],
    ids=["many values", "one huge text", "many members", "a huge name"],
)
def test_whatever_is_too_large_fits(members: dict[str, JsonValue]) -> None:
    assert len(orjson.dumps(bounded(members))) <= MAX_EVENT_BYTES
