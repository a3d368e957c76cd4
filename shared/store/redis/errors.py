"""Failures of Redis as our own errors."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from redis.exceptions import BusyLoadingError, MasterDownError, OutOfMemoryError, ReadOnlyError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from shared.errors import StoreUnavailableError, UnreadableRecordError

# A replica during fail-over, a full memory, a failed fork: the command was refused, not wrong.
_REFUSALS: Final = (OutOfMemoryError, ReadOnlyError, MasterDownError)
# Codes that redis-py has no class for, and those that a Redis before version 7 prefixes with text about the script, or
# redis-py with text about the pipeline.
_REFUSED: Final = re.compile(
    r"(?:^|[:\s]-|caused error: \(')(?:OOM|MISCONF|LOADING|READONLY|NOAUTH|NOREPLICAS|MASTERDOWN)\b"
)

logger = logging.getLogger(__name__)


@contextmanager
def redis_errors() -> Iterator[None]:
    """Translate failures of Redis into StoreUnavailableError, or UnreadableRecordError for a key of the wrong type."""
    try:
        yield
    except (RedisConnectionError, RedisTimeoutError, BusyLoadingError, OSError) as error:
        raise StoreUnavailableError from error
    except RuntimeError as error:
        # uvloop's error for writing to a connection that has just been closed; redis-py lets it through.
        if "handler is closed" not in str(error):
            raise
        raise StoreUnavailableError from error
    except RedisError as error:
        if isinstance(error, _REFUSALS) or _REFUSED.search(str(error)):
            raise refusal(error) from error
        if "WRONGTYPE" in str(error):
            raise UnreadableRecordError("A Redis key has the wrong type.") from error
        raise


def refusal(error: RedisError) -> StoreUnavailableError:
    """Return the error for a command that Redis refused; the reason is only logged.

    The text of Redis names scripts and addresses of ours, and the sentence of an error goes to clients.
    """
    logger.warning("Redis refuses to serve: %s", error)
    return StoreUnavailableError("Redis refuses to serve. Try again.")
