"""The process's limit of open files, beyond which new connections are closed without an answer."""

import logging
import resource
from contextlib import suppress
from typing import Final

from shared.config import GatewayConfig

_MARGIN: Final = 256  # connections to Redis and the broker, requests that are no streams, files
_DEFAULT: Final = GatewayConfig().max_streams

logger = logging.getLogger(__name__)


def fit_open_files(config: GatewayConfig) -> GatewayConfig:
    """Raise the limit of open files as far as allowed, and lower `max_streams` to what it suffices for.

    So one stream too many is refused with a response; only a configured `max_streams` is worth a warning.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # some systems allow less than they say
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = hard
    available = max(1, soft - _MARGIN)
    if soft == resource.RLIM_INFINITY or 0 < config.max_streams <= available:
        return config
    logger.log(
        logging.INFO if config.max_streams == _DEFAULT else logging.WARNING,
        "at most %d streams instead of gateway.max_streams = %d, because only %d files may be open; "
        "raise the hard limit (ulimit -Hn, LimitNOFILE) for more",
        available, config.max_streams, soft,
    )  # fmt: skip
    return config.model_copy(update={"max_streams": available})
