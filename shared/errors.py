"""Every error that crosses a package border, as one tree; nothing here knows HTTP or Celery.

BaudError
├── NotFoundError
│   ├── ThreadNotFoundError
│   ├── RunNotFoundError
│   ├── TenantNotFoundError
│   └── ApiKeyNotFoundError
├── ConflictError
│   ├── ThreadBusyError
│   ├── RunNotWaitingError
│   ├── NoApiKeysError
│   ├── TooManySharesError
│   ├── TenantExistsError
│   └── UserDisabledError
├── InvalidRequestError
│   ├── InvalidStreamIdError
│   ├── InvalidCursorError
│   ├── InvalidMessageError
│   │   └── MessageTooBigError
│   └── UnreadableMessageError
├── UnauthenticatedError
│   └── InvalidCredentialError
├── ForbiddenError
│   ├── ForeignHostError
│   ├── ForeignOriginError
│   ├── MissingScopeError
│   └── ReadOnlyThreadError
├── LimitReachedError
│   ├── TooManyStreamsError
│   └── SteeringFullError
├── UnavailableError
│   ├── StoreUnavailableError
│   ├── BrokerUnavailableError
│   ├── DatabaseUnavailableError
│   ├── IssuerUnavailableError
│   └── ShuttingDownError
├── UnreadableRecordError
│   └── UnreadableRunError
├── LeaseLostError
└── ConfigurationError
    ├── SchemaBehindError
    └── SchemaTooNewError
"""

from typing import ClassVar


class BaudError(Exception):
    """Something went wrong in Baud."""

    code: ClassVar[str] = "internal_error"

    def __init__(self, message: str | None = None) -> None:
        self.message = message or (type(self).__doc__ or "").splitlines()[0]
        super().__init__(self.message)


class NotFoundError(BaudError):
    """Nothing is stored under this id."""

    code = "not_found"


class ThreadNotFoundError(NotFoundError):
    """No such thread; it may have expired. Create one with POST /api/agent/initiate."""

    code = "thread_not_found"


class RunNotFoundError(NotFoundError):
    """No such run on this thread. GET /api/agent/{thread_id}/runs lists them."""

    code = "run_not_found"


class TenantNotFoundError(NotFoundError):
    """No such tenant."""

    code = "tenant_not_found"


class ApiKeyNotFoundError(NotFoundError):
    """The tenant has no such API key."""

    code = "api_key_not_found"


class ConflictError(BaudError):
    """The request does not fit the state of the thread."""

    code = "conflict"


class ThreadBusyError(ConflictError):
    """The thread has an active run and on_busy is reject. Wait, or send on_busy=queue."""

    code = "thread_busy"


class RunNotWaitingError(ConflictError):
    """The run does not wait for input."""

    code = "run_not_waiting"


class NoApiKeysError(ConflictError):
    """This server has no API keys: its auth.mode is neither api_key nor any."""

    code = "no_api_keys"


class TooManySharesError(ConflictError):
    """The thread is shared with as many users as it can be. Remove one first."""

    code = "too_many_shares"


class TenantExistsError(ConflictError):
    """There is a tenant with this id already."""

    code = "tenant_exists"


class UserDisabledError(ConflictError):
    """The user is disabled."""

    code = "user_disabled"


class InvalidRequestError(BaudError):
    """The request cannot be understood."""

    code = "bad_request"


class InvalidStreamIdError(InvalidRequestError):
    """last_id must be a stream id like 1700000000000-0, or $, or absent."""

    code = "bad_last_id"


class InvalidCursorError(InvalidRequestError):
    """The cursor is not one that this server gave out. Start again without it."""

    code = "bad_cursor"


class InvalidMessageError(InvalidRequestError):
    """The message cannot be understood."""

    code = "bad_message"


class MessageTooBigError(InvalidMessageError):
    """The message is too big."""

    code = "message_too_big"


class UnreadableMessageError(InvalidRequestError):
    """A message of the task queue cannot be read."""

    code = "unreadable_message"


class UnauthenticatedError(BaudError):
    """This server wants to know who asks. Send Authorization: Bearer with an API key or a token."""

    code = "unauthenticated"


class InvalidCredentialError(UnauthenticatedError):
    """The credential is not valid. Get a new one."""

    code = "invalid_credential"


class ForbiddenError(BaudError):
    """This is not allowed."""

    code = "forbidden"


class ForeignHostError(ForbiddenError):
    """This gateway does not answer for this host. If it is a name of this gateway, add it to gateway.allowed_hosts."""

    code = "host_not_allowed"


class ForeignOriginError(ForbiddenError):
    """Pages of this origin may not use this gateway. Add it to cors.allow_origins."""

    code = "origin_not_allowed"


class MissingScopeError(ForbiddenError):
    """The credential lacks the scope that this request needs."""

    code = "missing_scope"


class ReadOnlyThreadError(ForbiddenError):
    """This thread is shared with you to be read only. Ask its owner for the role editor."""

    code = "read_only_thread"


class LimitReachedError(BaudError):
    """There is too much of this already. Try again later."""

    code = "limit_reached"


class TooManyStreamsError(LimitReachedError):
    """Too many streams are open. Close one, or try again later."""

    code = "too_many_streams"


class SteeringFullError(LimitReachedError):
    """Too much steering text waits for this run. Try again once the run has read it, or send on_busy=queue."""

    code = "steering_full"


class UnavailableError(BaudError):
    """A service that this request needs does not answer. Try again."""

    code = "unavailable"


class StoreUnavailableError(UnavailableError):
    """Redis does not answer. Try again."""

    code = "redis_unavailable"


class BrokerUnavailableError(UnavailableError):
    """The task queue does not answer; the run was not started. Try again."""

    code = "broker_unavailable"


class DatabaseUnavailableError(UnavailableError):
    """The database does not answer. Try again."""

    code = "database_unavailable"


class IssuerUnavailableError(UnavailableError):
    """The issuer of this token cannot be asked for its keys. Try again."""

    code = "issuer_unavailable"


class ShuttingDownError(UnavailableError):
    """This server stops and takes nothing new. Try again: another one answers."""

    code = "shutting_down"


class UnreadableRecordError(BaudError):
    """What is stored here cannot be read."""

    code = "unreadable_record"


class UnreadableRunError(UnreadableRecordError):
    """A run cannot be executed: its stored records cannot be read. `token` is its claim's, if there is one."""

    def __init__(self, message: str | None = None, token: str = "") -> None:
        super().__init__(message)
        self.token = token


class LeaseLostError(BaudError):
    """Another worker owns this run, or it has ended: nothing more may be written."""

    code = "lease_lost"


class ConfigurationError(BaudError):
    """The configuration cannot be used."""

    code = "bad_configuration"


class SchemaBehindError(ConfigurationError):
    """The database has an older schema than this version needs. Run: baud db upgrade"""

    code = "schema_behind"


class SchemaTooNewError(ConfigurationError):
    """The database has a newer schema than this version knows. Run the version that made it, or a later one."""

    code = "schema_too_new"
