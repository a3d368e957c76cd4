"""The errors of the client, as one tree.

BaudClientError
├── ApiError
│   ├── AuthenticationError
│   └── PermissionDeniedError
├── UnreachableError
│   └── StreamLostError
├── StreamError
└── StackError
    ├── DataDirBusyError
    └── PortInUseError
"""


class BaudClientError(Exception):
    """Something went wrong between this program and Baud."""


class ApiError(BaudClientError):
    """The gateway refused a request: `status` is the HTTP status, `code` the machine-readable reason."""

    def __init__(self, status: int, code: str, detail: str, request_id: str = "") -> None:
        self.status = status
        self.code = code
        self.detail = detail
        self.request_id = request_id
        trace = f" [request {request_id}]" if request_id else ""
        super().__init__(f"{status} {code}: {detail}{trace}")


class AuthenticationError(ApiError):
    """The gateway does not accept the credential, or there is none: 401, also in the middle of a stream."""


class PermissionDeniedError(ApiError):
    """The credential is valid and may not do this: 403."""


class UnreachableError(BaudClientError):
    """The gateway does not answer, also after all retries."""

    @classmethod
    def at(cls, address: object, cause: Exception) -> "UnreachableError":
        """Return the error for a gateway's address."""
        reason = str(cause) or type(cause).__name__
        return cls(f"no answer from {address} ({reason}); is it running, and is the address right?")


class StreamLostError(UnreachableError):
    """A stream could not be continued for too long. A new one can resume from `last_id`; None: no event came."""

    def __init__(self, outage_seconds: float, tries: int, last_id: str | None, last_failure: str) -> None:
        self.outage_seconds = outage_seconds
        self.last_id = last_id
        seen = f"the last event was {last_id}; resume after it with last_id={last_id!r}" if last_id else "no event came"
        count = "1 try" if tries == 1 else f"{tries} tries"
        super().__init__(
            f"the stream could not be continued for {outage_seconds:.0f} s, {count}; "
            f"the last one failed with: {last_failure}; {seen}"
        )


class StreamError(BaudClientError):
    """The gateway ended a stream with an `error` event that a new connection would meet again."""

    def __init__(self, error_type: str, status: int, error: str) -> None:
        self.error_type = error_type
        self.status = status
        super().__init__(f"the stream ended with {error_type} ({status}): {error}")


class StackError(BaudClientError):
    """The local stack cannot be started or kept up."""


class DataDirBusyError(StackError):
    """Another local stack uses this data folder."""


class PortInUseError(StackError):
    """The port that the gateway should listen on is taken."""
