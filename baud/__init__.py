"""The Python SDK: what programs import to use Baud."""

from baud.sdk.async_client import AsyncBaud
from baud.sdk.backoff import StreamPolicy
from baud.sdk.errors import (
    ApiError,
    AuthenticationError,
    BaudClientError,
    PermissionDeniedError,
    StreamError,
    StreamLostError,
    UnreachableError,
)
from baud.sdk.event import Event, Gap
from baud.sdk.health import Health
from baud.sdk.stream_session import StreamCounts
from baud.sdk.sync_client import Baud
from shared.contract.api import CancelResponse as Cancelled
from shared.contract.api import ExecuteResponse as Submitted
from shared.contract.api import InitiateResponse as Initiated
from shared.contract.api import OnBusy
from shared.contract.api import WhyResponse as Why
from shared.contract.message import ChatMessage
from shared.contract.run import RunRecord, RunStatus, StopReason, Usage
from shared.contract.thread import ShareRole, ThreadRecord

__all__ = [
    "ApiError",
    "AsyncBaud",
    "AuthenticationError",
    "Baud",
    "BaudClientError",
    "Cancelled",
    "ChatMessage",
    "Event",
    "Gap",
    "Health",
    "Initiated",
    "OnBusy",
    "PermissionDeniedError",
    "RunRecord",
    "RunStatus",
    "ShareRole",
    "StopReason",
    "StreamCounts",
    "StreamError",
    "StreamLostError",
    "StreamPolicy",
    "Submitted",
    "ThreadRecord",
    "UnreachableError",
    "Usage",
    "Why",
]
