"""Failures of Redis as clients get them."""

import pytest
from redis.exceptions import MasterDownError, OutOfMemoryError, ResponseError

from shared.errors import StoreUnavailableError
from shared.store.redis.errors import redis_errors


@pytest.mark.parametrize(
    "error",
    [
        OutOfMemoryError("script b69fd35f at 10.0.0.7"),
        MasterDownError("link of b69fd35f with 10.0.0.7 is down"),
        ResponseError("MISCONF -MISCONF script b69fd35f at 10.0.0.7"),
    ],
    ids=["with a class", "of a replica", "with a code"],
)
def test_the_text_of_redis_is_logged_and_not_sent_to_clients(
    error: ResponseError, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(StoreUnavailableError) as refused, redis_errors():
        raise error
    assert "b69fd35f" not in refused.value.message
    assert "b69fd35f" in caplog.text
