"""What a client sends over a WebSocket: the commands of the REST interface, distinguished by `type`."""

from typing import Annotated, Final, Literal

from pydantic import Field, TypeAdapter

from shared.contract.api import ExecuteRequest, InputRequest, RequestBody

MAX_REQUEST_ID_CHARS: Final = 128

# The client's own name of a message; the answer repeats it.
RequestId = Annotated[str | None, Field(max_length=MAX_REQUEST_ID_CHARS)]


class ExecuteCommand(ExecuteRequest):
    """As POST execute."""

    type: Literal["execute"]
    request_id: RequestId = None
    idempotency_key: Annotated[str, Field(max_length=255)] = ""


class CancelCommand(RequestBody):
    """As POST cancel; without `run_id` the active run."""

    type: Literal["cancel"]
    request_id: RequestId = None
    run_id: str | None = None


class InputCommand(InputRequest):
    """As POST input; without `run_id` the active run."""

    type: Literal["input"]
    request_id: RequestId = None
    run_id: str | None = None


class PingCommand(RequestBody):
    """Asks for a `pong`."""

    type: Literal["ping"]
    request_id: RequestId = None


Command = Annotated[ExecuteCommand | CancelCommand | InputCommand | PingCommand, Field(discriminator="type")]
COMMANDS: Final[TypeAdapter[Command]] = TypeAdapter(Command)
