"""A gateway raises its limit of open files, and opens no more streams than that suffices for."""

import logging
import resource
from collections.abc import Iterator

import pytest

from gateway.core.open_files import fit_open_files
from shared.config import GatewayConfig


@pytest.fixture
def hard_limit() -> Iterator[int]:
    """Lower the soft limit for a test; the hard one cannot be raised again, so it is left alone."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (512, hard))
    yield hard
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_the_limit_of_open_files_is_raised_as_far_as_it_goes(hard_limit: int, caplog: pytest.LogCaptureFixture) -> None:
    config = GatewayConfig(max_streams=10)
    assert fit_open_files(config) == config
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == (hard_limit, hard_limit)
    assert not caplog.records


@pytest.mark.parametrize("too_many", [0, 1 << 40], ids=["without limit", "a number"])
def test_streams_are_limited_to_the_files_that_may_be_open(
    hard_limit: int, caplog: pytest.LogCaptureFixture, too_many: int
) -> None:
    with caplog.at_level(logging.WARNING):
        fitted = fit_open_files(GatewayConfig(max_streams=too_many))
    assert 0 < fitted.max_streams < hard_limit
    assert f"only {hard_limit} files may be open" in caplog.text


def test_a_default_above_the_files_that_may_be_open_is_no_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _kind: (1024, 1024))
    monkeypatch.setattr(resource, "setrlimit", lambda _kind, _limits: None)
    with caplog.at_level(logging.WARNING):
        assert fit_open_files(GatewayConfig()).max_streams == 1024 - 256
    assert not caplog.records
