"""Revisions of the schema: which of them a version accepts."""

import pytest

from shared.db import schema
from shared.db.schema import check_revision
from shared.errors import SchemaBehindError, SchemaTooNewError


@pytest.fixture(autouse=True)
def three_revisions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema, "known_revisions", lambda: ("0001", "0002", "0003"))


def test_the_newest_revision_is_accepted() -> None:
    check_revision("0003")


@pytest.mark.parametrize("found", [None, "0001", "0002"])
def test_an_earlier_revision_is_to_be_upgraded(found: str | None) -> None:
    with pytest.raises(SchemaBehindError, match="Run: baud db upgrade") as refusal:
        check_revision(found)
    assert (found or "no tables") in refusal.value.message


@pytest.mark.parametrize("found", ["0004", "9999", "0001,0002", "c0ffee"])
def test_any_other_revision_is_of_another_version(found: str) -> None:
    with pytest.raises(SchemaTooNewError, match=f"at revision {found}, and this version knows 0003 at most"):
        check_revision(found)
