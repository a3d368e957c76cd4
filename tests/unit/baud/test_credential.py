"""The credential of both clients: sent with every request, asked for again when it is refused, and never shown."""

import asyncio
import logging
import traceback
from collections.abc import Callable
from typing import Protocol

import httpx
import pytest

from baud import (
    ApiError,
    AsyncBaud,
    AuthenticationError,
    Baud,
    BaudClientError,
    Event,
    PermissionDeniedError,
    ThreadRecord,
)
from baud.sdk.credential import VARIABLE, ApiKey, Credential
from tests.unit.baud.test_sdk import POLICY, URL, Reply, ScriptedGateway, frame, stream

KEY = "baud_s3cret-key"
THREAD = {"thread_id": "t1", "created_at": "x", "updated_at": "x"}
REVOKED = b'event: error\ndata: {"error": "not valid any more", "error_type": "unauthenticated", "status": 401}\n\n'


def thread() -> httpx.Response:
    return httpx.Response(200, json=THREAD)


def refusal(status: int, code: str = "invalid_credential") -> httpx.Response:
    body = {"detail": "The credential is not valid.", "code": code, "request_id": "q"}
    return httpx.Response(status, json=body, headers={"WWW-Authenticate": "Bearer"})


def unsteady_gateway() -> ScriptedGateway:
    """Return one that is asked four times for a thread and a run's stream."""
    replies = (stream(frame("1-0"), httpx.ReadError("cut")), stream(frame("2-0", "flow_completion")))
    return ScriptedGateway(httpx.Response(503), thread(), *replies)


def sent_keys(gateway: ScriptedGateway) -> list[str | None]:
    return [request.headers.get("authorization") for request in gateway.requests]


class Client(Protocol):
    """What the tests do with each of the clients: read a thread and a run's stream, in this order."""

    def __call__(
        self, gateway: ScriptedGateway, api_key: ApiKey | None, *, streams: bool = False, url: str = URL
    ) -> tuple[ThreadRecord, list[Event]]: ...


def use_sync(
    gateway: ScriptedGateway, api_key: ApiKey | None, *, streams: bool = False, url: str = URL
) -> tuple[ThreadRecord, list[Event]]:
    transport = httpx.MockTransport(gateway)
    with Baud(url, api_key=api_key, stream_policy=POLICY, transport=transport) as baud:
        return baud.thread("t1"), list(baud.run_stream("t1", "r1")) if streams else []


def use_async(
    gateway: ScriptedGateway, api_key: ApiKey | None, *, streams: bool = False, url: str = URL
) -> tuple[ThreadRecord, list[Event]]:
    async def use() -> tuple[ThreadRecord, list[Event]]:
        transport = httpx.MockTransport(gateway)
        async with AsyncBaud(url, api_key=api_key, stream_policy=POLICY, transport=transport) as baud:
            record = await baud.thread("t1")
            return record, [event async for event in baud.run_stream("t1", "r1")] if streams else []

    return asyncio.run(use())


both = pytest.mark.parametrize("use", [use_sync, use_async], ids=["sync", "async"])


@pytest.fixture(autouse=True)
def _no_key_of_the_developer(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (VARIABLE, "BAUD_TOKEN"):
        monkeypatch.delenv(name, raising=False)


def numbered_keys() -> Callable[[], str]:
    numbers = iter(range(1, 100))
    return lambda: f"key-{next(numbers)}"


@both
def test_every_request_carries_the_key(use: Client) -> None:
    gateway = unsteady_gateway()
    use(gateway, KEY, streams=True)
    assert sent_keys(gateway) == [f"Bearer {KEY}"] * 4


@both
def test_a_function_is_asked_before_each_request(use: Client) -> None:
    gateway = unsteady_gateway()
    use(gateway, numbered_keys(), streams=True)
    assert sent_keys(gateway) == [f"Bearer key-{number}" for number in range(1, 5)]


async def test_the_function_of_the_asynchronous_client_may_be_asynchronous() -> None:
    async def fetch() -> str:
        await asyncio.sleep(0)
        return KEY

    gateway = ScriptedGateway(thread())
    async with AsyncBaud(URL, api_key=fetch, transport=httpx.MockTransport(gateway)) as baud:
        await baud.thread("t1")
    assert sent_keys(gateway) == [f"Bearer {KEY}"]


@both
@pytest.mark.parametrize(
    ("variable", "given", "sent"),
    [
        (f"{KEY}\n", None, f"Bearer {KEY}"),
        ("other", KEY, f"Bearer {KEY}"),
        ("other", "", None),
        (" ", None, None),
        ("", None, None),
    ],
    ids=["variable", "argument wins", "none wanted", "blank variable", "nothing"],
)
def test_the_key_comes_from_the_argument_or_the_variable(
    use: Client, monkeypatch: pytest.MonkeyPatch, variable: str, given: str | None, sent: str | None
) -> None:
    monkeypatch.setenv(VARIABLE, variable)
    gateway = ScriptedGateway(thread())
    use(gateway, given)
    assert sent_keys(gateway) == [sent]


@both
def test_the_former_variable_still_works_and_says_its_new_name(monkeypatch: pytest.MonkeyPatch, use: Client) -> None:
    monkeypatch.setenv("BAUD_TOKEN", KEY)
    gateway = ScriptedGateway(thread())
    with pytest.warns(FutureWarning, match="BAUD_TOKEN is called BAUD_API_KEY now"):
        use(gateway, None)
    assert sent_keys(gateway) == [f"Bearer {KEY}"]
    monkeypatch.setenv(VARIABLE, "another")
    gateway = ScriptedGateway(thread())
    use(gateway, None)
    assert sent_keys(gateway) == ["Bearer another"]


@both
def test_a_refused_key_is_raised_at_once(use: Client) -> None:
    gateway = ScriptedGateway(refusal(401))
    with pytest.raises(AuthenticationError, match="401 invalid_credential: The credential is not valid") as caught:
        use(gateway, KEY)
    assert isinstance(caught.value, ApiError)
    assert len(gateway.requests) == 1


@both
def test_a_refused_token_is_replaced_once(use: Client) -> None:
    gateway = ScriptedGateway(refusal(401), thread())
    use(gateway, numbered_keys())
    assert sent_keys(gateway) == ["Bearer key-1", "Bearer key-2"]


@both
def test_a_second_refused_token_is_raised(use: Client) -> None:
    gateway = ScriptedGateway(refusal(401), refusal(401))
    with pytest.raises(AuthenticationError):
        use(gateway, numbered_keys())


@both
@pytest.mark.parametrize("api_key", [KEY, numbered_keys()], ids=["key", "function"])
def test_what_the_credential_may_not_do_is_not_tried_again(use: Client, api_key: ApiKey) -> None:
    gateway = ScriptedGateway(refusal(403, "missing_scope"))
    with pytest.raises(PermissionDeniedError, match="403 missing_scope"):
        use(gateway, api_key)
    assert len(gateway.requests) == 1


@both
def test_a_stream_goes_on_with_another_token_after_the_first_is_revoked(use: Client) -> None:
    gateway = ScriptedGateway(
        thread(),
        stream(frame("1-0") + frame("2-0") + REVOKED),
        refusal(401),
        stream(frame("3-0") + REVOKED),
        refusal(401),
        stream(frame("4-0", "flow_completion")),
    )
    _, events = use(gateway, numbered_keys(), streams=True)
    assert [event.id for event in events] == ["1-0", "2-0", "3-0", "4-0"]
    asked = [request.headers.get("last-event-id") for request in gateway.requests]
    assert asked == [None, None, "2-0", "2-0", "3-0", "3-0"]
    assert sent_keys(gateway) == [f"Bearer key-{number}" for number in range(1, 7)]


@both
@pytest.mark.parametrize(
    ("api_key", "refusals"), [(KEY, 0), (numbered_keys(), 2)], ids=["key", "function without a valid one"]
)
def test_a_stream_whose_key_is_revoked_is_raised(use: Client, api_key: ApiKey, refusals: int) -> None:
    replies = [refusal(401, "unauthenticated") for _ in range(refusals)]
    gateway = ScriptedGateway(thread(), stream(frame("1-0") + REVOKED), *replies)
    with pytest.raises(AuthenticationError, match="401 unauthenticated"):
        use(gateway, api_key, streams=True)


@both
@pytest.mark.parametrize("error", [RuntimeError("no login"), httpx.ConnectError("the issuer is away")], ids=repr)
def test_an_error_of_the_function_is_the_users_own(use: Client, error: Exception) -> None:
    def fail() -> str:
        raise error

    gateway = ScriptedGateway()
    with pytest.raises(type(error)) as caught:
        use(gateway, fail)
    assert caught.value is error


UNUSABLE = {
    "line break": "s3cret\r\nX-Evil: 1",
    "space": "Bearer s3cret",
    "beyond ASCII": "s3cr\u00e9t",
    "control": "s3cret\x00",
}


@both
@pytest.mark.parametrize("origin", ["argument", "variable", "function"])
@pytest.mark.parametrize("key", UNUSABLE.values(), ids=UNUSABLE)
def test_what_cannot_be_a_key_is_refused_and_not_shown(
    use: Client, monkeypatch: pytest.MonkeyPatch, origin: str, key: str
) -> None:
    if origin == "variable":
        monkeypatch.setattr("os.environ", {VARIABLE: key})  # a real one could not hold every character
    given = {"argument": key, "variable": None, "function": lambda: key}[origin]
    with pytest.raises(BaudClientError, match="has a space, a line break or") as caught:
        use(ScriptedGateway(), given)
    assert "s3cr" not in "".join(traceback.format_exception(caught.value))


@both
@pytest.mark.parametrize(
    ("given", "why"),
    [(lambda: "", "is empty"), (lambda: None, "NoneType"), (42, "int")],
    ids=["empty", "none", "number"],
)
def test_what_is_no_text_is_refused(use: Client, given: ApiKey, why: str) -> None:
    with pytest.raises(BaudClientError, match=why):
        use(ScriptedGateway(), given)


@both
@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed_with_the_key(use: Client, status: int) -> None:
    gateway = ScriptedGateway(httpx.Response(status, headers={"location": "http://evil.test/"}))
    with pytest.raises(ApiError, match=f"{status} not_from_baud"):
        use(gateway, KEY)
    gateway = ScriptedGateway(thread(), httpx.Response(status, headers={"location": "http://evil.test/"}))
    with pytest.raises(ApiError, match=f"{status} not_from_baud"):
        use(gateway, KEY, streams=True)
    assert {request.url.host for request in gateway.requests} == {"gateway.test"}


@both
@pytest.mark.parametrize(("api_key", "kind"), [(KEY, "Bearer"), ("", "Basic")], ids=["key", "no key"])
def test_a_key_wins_over_the_password_in_an_address(use: Client, api_key: str, kind: str) -> None:
    gateway = ScriptedGateway(thread(), stream(frame("1-0", "flow_completion")))
    use(gateway, api_key, streams=True, url="https://proxy:pw@gateway.test")
    assert {str(key).partition(" ")[0] for key in sent_keys(gateway)} == {kind}


def shown_in(error: BaseException) -> str:
    """Return what a report of the error shows, with the local variables of all frames but those of the tests."""
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__) if "/tests/" not in frame.f_code.co_filename]
    assert frames
    return "".join(traceback.format_exception(error)) + repr(error) + repr([frame.f_locals for frame in frames])


@both
@pytest.mark.parametrize(
    "make_reply",
    [
        lambda: refusal(401),
        lambda: refusal(403),
        lambda: httpx.ConnectError("refused"),
        lambda: httpx.ReadError("cut"),
        lambda: httpx.Response(200, text="<p>"),
    ],
    ids=["401", "403", "refused", "cut", "not ours"],
)
@pytest.mark.parametrize("api_key", [KEY, lambda: KEY], ids=["key", "function"])
def test_the_key_is_in_no_error_and_no_log(
    use: Client, caplog: pytest.LogCaptureFixture, make_reply: Callable[[], Reply], api_key: ApiKey
) -> None:
    caplog.set_level(logging.DEBUG)
    with pytest.raises(BaudClientError) as caught:
        use(ScriptedGateway(*[make_reply() for _ in range(4)]), api_key)
    assert KEY not in shown_in(caught.value)
    assert KEY not in caplog.text


def test_the_key_is_in_no_text_form_of_a_client() -> None:
    with Baud(URL, api_key=KEY) as baud:
        assert KEY not in repr(baud) + repr(vars(baud))
    assert KEY not in repr(Credential(KEY)) + repr(Credential(KEY).auth())


@pytest.mark.parametrize(
    ("url", "api_key", "warnings"),
    [
        ("http://clear-1.test", KEY, 1),
        ("http://clear-2.test:8000", lambda: KEY, 1),
        ("http://10.9.8.7", KEY, 1),
        ("http://user:pw@clear-3.test", KEY, 1),
        ("http://clear-4.test", "", 0),
        ("https://clear-5.test", KEY, 0),
        ("http://127.0.0.9:8000", KEY, 0),
        ("http://[::1]:8000", KEY, 0),
        ("http://localhost:8000", KEY, 0),
        ("http://baud.localhost", KEY, 0),
    ],
)
def test_a_key_in_clear_text_is_warned_of_once(
    caplog: pytest.LogCaptureFixture, url: str, api_key: ApiKey, warnings: int
) -> None:
    for _ in range(3):
        Baud([url, url], api_key=api_key).close()
    assert len(caplog.messages) == warnings
    assert all("in clear text" in message and "pw" not in message for message in caplog.messages)


def test_an_address_that_cannot_be_read_is_refused() -> None:
    with pytest.raises(BaudClientError, match="cannot be read"):
        Baud("http://[::1:8000", api_key=KEY)
