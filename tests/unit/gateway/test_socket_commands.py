"""The commands of a WebSocket, and the errors for any other message."""

import orjson
import pytest

from gateway.controller.error_handlers import refuse_message
from gateway.service.socket.commands import read_command, request_id_of
from shared.contract.api import OnBusy
from shared.contract.socket import CancelCommand, ExecuteCommand, InputCommand, PingCommand
from shared.errors import ConfigurationError, InvalidMessageError, MessageTooBigError, TooManyStreamsError


def test_every_command_is_read_with_the_members_of_its_rest_body() -> None:
    execute = read_command(
        '{"type": "execute", "task": "x", "on_busy": "steer", "context_data": [{"type": "t", "more": 1}],'
        ' "idempotency_key": "k", "request_id": "q"}',
        max_bytes=1000,
    )
    assert isinstance(execute, ExecuteCommand)
    assert (execute.task, execute.on_busy, execute.idempotency_key, execute.request_id) == ("x", OnBusy.STEER, "k", "q")
    assert isinstance(read_command('{"type": "cancel"}', max_bytes=1000), CancelCommand)
    assert isinstance(read_command('{"type": "input", "decision": "approve"}', max_bytes=1000), InputCommand)
    assert isinstance(read_command('{"type": "ping"}', max_bytes=1000), PingCommand)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (None, "Binary"),
        ("{", "not valid JSON"),
        ('"\\ud800"', "not valid JSON"),
        ('{"type": "ping", "x": NaN}', "NaN is no JSON"),
        ('{"type": "execute", "task": "x", "parameters": {"a": 18446744073709551616}}', "64 bits"),
        ('{"type": "input", "arguments": {"a": ' + "[" * 200 + "]" * 200 + "}}", "100 levels"),
        ("[]", "message: "),
        ('{"task": "x"}', "'type'"),
        ('{"type": "dance"}', "'execute', 'cancel', 'input', 'ping'"),
        ('{"type": "execute"}', "execute.task: field required"),
        ('{"type": "execute", "task": " "}', "execute.task: must not be blank"),
        ('{"type": "execute", "task": "x", "colour": 1}', "execute.colour"),
        ('{"type": "ping", "request_id": "' + "q" * 129 + '"}', "ping.request_id"),
    ],
    ids=["binary", "no JSON", "half a character", "no number", "65 bits", "deep", "no object", "no type",
         "unknown type", "no task", "blank task",
         "unknown member", "long request_id"],
)  # fmt: skip
def test_the_error_for_a_bad_message_names_the_reason(text: str | None, reason: str) -> None:
    with pytest.raises(InvalidMessageError) as refused:
        read_command(text, max_bytes=1000)
    assert reason in refused.value.message


def test_the_limit_of_a_message_holds_to_the_byte() -> None:
    text = '{"type": "ping", "request_id": "ü"}'
    assert read_command(text, max_bytes=len(text) + 1).request_id == "ü"
    with pytest.raises(MessageTooBigError):
        read_command(text, max_bytes=len(text))


@pytest.mark.parametrize(
    ("text", "request_id"),
    [('{"request_id": "q", "type": 7}', "q"), ('{"request_id": 7}', None), ("[]", None), ("{", None), (None, None)],
)
def test_a_bad_message_is_still_answered_with_its_request_id(text: str | None, request_id: str | None) -> None:
    assert request_id_of(text) == request_id


def test_a_refusal_names_code_and_status_and_no_internals() -> None:
    refused = refuse_message(TooManyStreamsError("full"), "q")
    assert orjson.loads(refused.data) == {
        "error": "full", "error_type": "too_many_streams", "status": 429, "request_id": "q",
    }  # fmt: skip
    fault = refuse_message(ConfigurationError("the password is hunter2"), None)
    assert b"hunter2" not in fault.data
    assert orjson.loads(fault.data)["error_type"] == "internal_error"
