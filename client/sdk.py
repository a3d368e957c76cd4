"""The Python SDK: what programs import to use Baud."""

from client.async_sdk import AsyncBaud
from client.backoff import StreamPolicy
from client.errors import ApiError, BaudClientError, StreamError, StreamLostError, UnreachableError
from client.event import Event, Gap
from client.health import Health
from client.stream_session import StreamCounts
from client.sync_sdk import Baud
from shared.contract.api import CancelResponse as Cancelled
from shared.contract.api import ExecuteResponse as Submitted
from shared.contract.api import InitiateResponse as Initiated
from shared.contract.api import OnBusy
from shared.contract.api import WhyResponse as Why
from shared.contract.message import ChatMessage
from shared.contract.run import RunRecord, RunStatus, StopReason, Usage
from shared.contract.thread import ThreadRecord

__all__ = [
    "ApiError",
    "AsyncBaud",
    "Baud",
    "BaudClientError",
    "Cancelled",
    "ChatMessage",
    "Event",
    "Gap",
    "Health",
    "Initiated",
    "OnBusy",
    "RunRecord",
    "RunStatus",
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
