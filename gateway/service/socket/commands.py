"""Executes the commands that a client sends over a WebSocket, by the use cases of the REST routes."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson
from pydantic import BaseModel, ValidationError

from gateway.service.access import Action, ThreadAccess, acting_user
from gateway.service.run.answer import RunAnswer
from gateway.service.run.cancel import RunCancellation
from gateway.service.run.submit import ActiveRunReader, RunSubmission
from gateway.service.stream.types import ControlEvent
from gateway.service.validation_message import validation_message
from shared.clock import isoformat
from shared.contract.api import CancelResponse, InputResponse
from shared.contract.json_text import JsonSyntaxError, JsonTextError, read_json
from shared.contract.principal import Principal
from shared.contract.socket import (
    COMMANDS,
    MAX_REQUEST_ID_CHARS,
    CancelCommand,
    Command,
    ExecuteCommand,
    InputCommand,
    PingCommand,
)
from shared.errors import InvalidMessageError, MessageTooBigError, RunNotFoundError
from shared.ids import is_id


@dataclass(frozen=True, slots=True)
class SocketCommands:
    """The commands of one thread."""

    thread_id: str
    principal: Principal
    access: ThreadAccess
    threads: ActiveRunReader
    submission: RunSubmission
    cancellation: RunCancellation
    answering: RunAnswer

    async def execute(self, command: Command) -> ControlEvent:
        """Return the `ack` of a command, or a `pong`; raises what the use case raises."""
        if isinstance(command, PingCommand):
            return _answer("pong", command, {"time": isoformat(datetime.now(UTC))})
        owner = await self.access.check(self.principal, self.thread_id, Action.RUN)  # it may have changed
        if isinstance(command, ExecuteCommand):
            task = command.model_copy(update={"user_uuid": acting_user(self.principal, command.user_uuid)})
            key = command.idempotency_key
            submitted = await self.submission.submit(self.thread_id, task, owner=owner, idempotency_key=key)
            return _acknowledge(command, submitted)
        run_id = await self._run_of(command)
        if isinstance(command, CancelCommand):
            status = await self.cancellation.cancel(self.thread_id, run_id)
            return _acknowledge(command, CancelResponse(thread_id=self.thread_id, run_id=run_id, status=status))
        status = await self.answering.answer(self.thread_id, run_id, command)
        return _acknowledge(command, InputResponse(thread_id=self.thread_id, run_id=run_id, status=status))

    async def _run_of(self, command: CancelCommand | InputCommand) -> str:
        run_id = command.run_id
        if run_id is None:
            run_id = await self.threads.active_run(self.thread_id)
            if run_id is None:
                raise RunNotFoundError("No run of this thread is active. Name one as run_id, or post a task.")
        if not is_id(run_id):
            raise RunNotFoundError
        return run_id


def read_command(text: str | None, *, max_bytes: int) -> Command:
    """Return the command in a message; None stands for a binary one. Raises InvalidMessageError, MessageTooBigError."""
    if text is None:
        raise InvalidMessageError("Binary messages mean nothing here: send JSON as text.")
    if len(text.encode(errors="replace")) > max_bytes:
        raise MessageTooBigError(f"The message is longer than {max_bytes} bytes, the limit of gateway.max_body_bytes.")
    try:
        return COMMANDS.validate_python(read_json(text))
    except JsonTextError as error:
        raise InvalidMessageError(f"The message cannot be taken: {error}.") from error
    except JsonSyntaxError as error:
        raise InvalidMessageError(f"The message is not valid JSON: {error}") from error
    except ValidationError as error:
        raise InvalidMessageError(validation_message(error.errors(), root="message")) from error


def request_id_of(text: str | None) -> str | None:
    """Return the request_id of a message that may be invalid otherwise."""
    try:
        message = orjson.loads(text or "")
    except orjson.JSONDecodeError:
        return None
    request_id = message.get("request_id") if isinstance(message, dict) else None
    return request_id if isinstance(request_id, str) and len(request_id) <= MAX_REQUEST_ID_CHARS else None


def _acknowledge(command: Command, response: BaseModel) -> ControlEvent:
    return _answer("ack", command, response.model_dump(mode="json"))


def _answer(event: str, command: Command, data: Mapping[str, object]) -> ControlEvent:
    return ControlEvent(event, orjson.dumps({"type": command.type, "request_id": command.request_id, **data}))
