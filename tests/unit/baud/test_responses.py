"""Responses of proxies in front of Baud are understood, or described in the error."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from baud.sdk.responses import error_from, retry_after_seconds

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7.0),
        ({}, 0.0),
        ({"retry-after": "soon"}, 0.0),
        ({"retry-after": format_datetime(NOW + timedelta(seconds=90)), "date": format_datetime(NOW)}, 90.0),
        ({"retry-after": format_datetime(NOW - timedelta(seconds=90)), "date": format_datetime(NOW)}, 0.0),
    ],
    ids=["seconds", "none", "nonsense", "date", "past"],
)
def test_retry_after_is_read_as_seconds_or_as_a_date(headers: dict[str, str], seconds: float) -> None:
    assert retry_after_seconds(headers) == seconds


def test_a_page_is_named_by_its_title() -> None:
    page = b"<!DOCTYPE html><html><head><title>404\n Not Found</title></head><body>nginx</body></html>"
    error = error_from(404, page)
    assert (error.status, error.code) == (404, "not_from_baud")
    assert error.detail.startswith("a page titled '404 Not Found', not an answer of Baud")


@pytest.mark.parametrize(
    ("page", "name"),
    [
        ('<HTML><TITLE class="large">Bad Gateway</TITLE>', "titled 'Bad Gateway'"),
        ("<html><title>never closed", "titled 'never closed'"),
        ("<html>" + " " * 100_000 + "<title>far away</title>", "a page, not"),
        ("<html>" + "<title" * 100_000, "a page, not"),
    ],
    ids=["upper-case", "unclosed", "far", "never-opened"],
)
def test_a_title_is_looked_for_in_the_head_of_a_page(page: str, name: str) -> None:
    assert name in error_from(502, page.encode()).detail


def test_an_empty_answer_is_called_so() -> None:
    assert "an empty answer" in error_from(502, b"").detail
