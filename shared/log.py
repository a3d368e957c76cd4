"""Logging of a service: coloured lines on a laptop, one JSON object a line elsewhere, secrets masked in both.

Text of a client, a model or a command can neither make an endless line nor look like a line of the log.
"""

import copy
import logging
import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any, Final

from colorlog import ColoredFormatter
from pythonjsonlogger.core import RESERVED_ATTRS, merge_record_extra
from pythonjsonlogger.json import JsonFormatter

from shared.clock import isoformat
from shared.config import LogConfig
from shared.log_text import cut, cut_field, escape, indent
from shared.redaction import MASK, Redactor, is_secret_name
from shared.secret_values import secret_forms, secret_values

_NOISY: Final = (
    "LiteLLM", "LiteLLM Proxy", "LiteLLM Router", "amqp", "asyncio", "botocore", "celery", "httpcore", "httpx",
    "kombu", "openai", "redis", "sse_starlette", "urllib3",
)  # fmt: skip
_NOTHING: Final[Mapping[str, object]] = MappingProxyType({})
_COLOR_FORMAT: Final = "%(log_color)s%(levelname)-7s%(reset)s %(asctime)s %(name)s: %(message)s"
_context: ContextVar[Mapping[str, object]] = ContextVar("log_context", default=_NOTHING)


@contextmanager
def bind(**fields: object) -> Iterator[None]:
    """Add the fields to every line logged inside the block, in this task and those it starts."""
    token = _context.set({**_context.get(), **fields})
    try:
        yield
    finally:
        _context.reset(token)


def configure_logging(config: LogConfig, *, env: str, service: str, environ: Mapping[str, str] | None = None) -> None:
    """Send every logger's lines to standard error, replacing what was set up before.

    `environ` is where secrets to mask are taken from; the process's own by default.
    """
    secrets = secret_forms(secret_values(os.environ if environ is None else environ))
    colored = config.format == "color" or (config.format == "auto" and env == "local")
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_add_context)
    handler.setFormatter(_RedactingFormatter(_ColorLine() if colored else _JsonLine(service), Redactor(secrets)))
    logging.basicConfig(level=config.level, handlers=[handler], force=True)
    for name in _NOISY:
        logger = logging.getLogger(name)
        logger.handlers.clear()  # LiteLLM brings its own, which would write each line twice and unmasked
        logger.setLevel(logging.WARNING)


def _add_context(record: logging.LogRecord) -> bool:
    for name, value in _context.get().items():
        if not hasattr(record, name):
            setattr(record, name, value)
    return True


def _masked(name: str, value: object) -> object:
    return MASK if isinstance(value, str) and is_secret_name(name) else cut_field(value)


class _RedactingFormatter(logging.Formatter):
    """Masks the finished line, so that message, fields and exception text are all covered."""

    def __init__(self, inner: logging.Formatter, redactor: Redactor) -> None:
        super().__init__()
        self._inner = inner
        self._redactor = redactor

    def format(self, record: logging.LogRecord) -> str:
        return self._redactor.redact(self._inner.format(record))


class _JsonLine(JsonFormatter):
    def __init__(self, service: str) -> None:
        super().__init__(["message"], rename_fields={"exc_info": "exception", "stack_info": "stack"})
        self._service = service

    def add_fields(self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]) -> None:
        super().add_fields(log_data, record, message_dict)
        fields = {
            "time": isoformat(datetime.fromtimestamp(record.created, UTC)),
            "level": record.levelname,
            "logger": record.name,
            "service": self._service,
            "pid": record.process,
        }
        others = {name: _masked(name, value) for name, value in log_data.items() if name not in fields}
        log_data.clear()
        log_data.update({**fields, **others})


class _ColorLine(ColoredFormatter):
    def __init__(self) -> None:
        super().__init__(_COLOR_FORMAT, datefmt="%H:%M:%S", stream=sys.stderr)

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the standard library's name
        fields: dict[str, object] = merge_record_extra(record, {}, reserved=RESERVED_ATTRS)
        text = " ".join(f"{name}={_masked(name, value)}" for name, value in fields.items() if name != "message")
        shown = copy.copy(record)
        shown.message = escape(cut(record.message))
        line = super().formatMessage(shown)
        return f"{line} [{escape(text)}]" if text else line

    def formatException(self, ei: Any) -> str:  # noqa: N802 - the standard library's name
        return indent(cut(super().formatException(ei)))

    def formatStack(self, stack_info: str) -> str:  # noqa: N802 - the standard library's name
        return indent(cut(super().formatStack(stack_info)))
