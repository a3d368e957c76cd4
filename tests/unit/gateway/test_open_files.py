"""A gateway takes as many open files as it may, and says when they are too few."""

import logging
import resource
from collections.abc import Iterator

import pytest

from gateway.core.open_files import raise_open_files


@pytest.fixture
def hard_limit() -> Iterator[int]:
    """Lower the soft limit for a test; the hard one cannot be raised again, so it is left alone."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))
    yield hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_the_limit_of_open_files_is_raised_as_far_as_it_goes(hard_limit: int, caplog: pytest.LogCaptureFixture) -> None:
    raise_open_files(10)
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard_limit, hard_limit)
    assert not caplog.records


def test_a_limit_below_the_streams_that_are_allowed_is_told(hard_limit: int, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        raise_open_files(hard_limit)
    assert f"only {hard_limit} files may be open" in caplog.text
