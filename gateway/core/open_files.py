"""The process's limit of open files, beyond which new connections are closed without an answer."""

import logging
import resource
from contextlib import suppress
from typing import Final

_MARGIN: Final = 256  # connections to Redis and the broker, requests that are no streams, files

logger = logging.getLogger(__name__)


def raise_open_files(max_streams: int) -> None:
    """Take as many as the process is allowed; say so if they do not suffice for this many streams."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # some systems allow less than they say
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    if soft != resource.RLIM_INFINITY and soft < max_streams + _MARGIN:
        logger.warning(
            "only %d files may be open, too few for gateway.max_streams = %d: beyond them new connections are closed "
            "without an answer; raise the hard limit (ulimit -Hn, LimitNOFILE) or lower gateway.max_streams",
            soft, max_streams,
        )  # fmt: skip
