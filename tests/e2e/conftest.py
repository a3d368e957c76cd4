"""The stack that most tests share, the provider it asks, and stacks with settings of a test's own."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from itertools import count, islice
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import pytest
from redis import Redis, RedisError

from tests.e2e.broker import Broker, RabbitBroker, is_on_rabbitmq
from tests.e2e.stack import Stack
from tests.fakes.openai_server import OpenAIServer
from tests.integration.rabbit_process import RabbitProcess
from tests.integration.redis_process import RedisProcess

# Has the form of a real key; the tests about secrets search for it.
API_KEY = "sk-e2e-0123456789abcdefghijklmnop"
# A name with a known price, so that costs can be checked.
MODEL = "openai/gpt-4o-mini"
# For workers of a test's own: they start in a second, where LiteLLM needs five.
SMALL_MODEL = "python:tests.fakes.small_openai_model:make_model"
_LOG_TAIL_CHARS = 6000
_STREAMS_SHOWN, _EVENTS_SHOWN, _EVENT_CHARS = 3, 12, 700

FreshStack = Callable[..., Stack]


@pytest.fixture(scope="package")
def provider() -> Iterator[OpenAIServer]:
    """The model's provider; its script and what it was asked go on from test to test."""
    with OpenAIServer([]) as server:
        yield server


@pytest.fixture
def openai_server(provider: OpenAIServer) -> OpenAIServer:
    """The provider without a script and without requests; a test gives it a script with `play`."""
    provider.play([])
    return provider


def model_settings(provider: OpenAIServer, model: str = MODEL) -> dict[str, str]:
    """Return the settings that make a modem ask this provider, and lose little time over failures."""
    return {
        "BAUD_LLM__MODEL": model,
        "BAUD_LLM__BASE_URL": provider.base_url,
        "OPENAI_API_KEY": API_KEY,
        "BAUD_LLM__RETRY_MIN_WAIT": "0.02",
        "BAUD_LLM__RETRY_MAX_WAIT": "2",
        "BAUD_LLM__NUM_RETRIES": "2",
        "BAUD_MODEM__CONCURRENCY": "16",
    }


@pytest.fixture(scope="session")
def new_broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], Broker | None]]:
    """Make a broker of a stack's own, as BAUD_TEST_BROKER names it; None stands for the stack's Redis."""
    if not is_on_rabbitmq():
        yield lambda: None
        return
    rabbit, numbers = RabbitProcess(tmp_path_factory.mktemp("rabbit")), count()
    try:
        rabbit.start()
        yield lambda: RabbitBroker(rabbit, f"stack-{next(numbers)}")
    finally:
        rabbit.stop()


@pytest.fixture(scope="package")
def shared_stack(
    redis_server: str,
    provider: OpenAIServer,
    new_broker: Callable[[], Broker | None],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Stack]:
    """One gateway and one modem."""
    # A database of its own: tests of other folders empty theirs.
    redis_url = urlunsplit(urlsplit(redis_server)._replace(path="/1"))
    with Redis.from_url(redis_url) as redis:
        redis.flushdb()
    folder = tmp_path_factory.mktemp("stack")
    with Stack(redis_url, folder, model_settings(provider), broker=new_broker()) as stack:
        yield stack


@pytest.fixture
def stack(shared_stack: Stack, openai_server: OpenAIServer) -> Stack:
    """The shared stack, with its provider made ready for this test."""
    return shared_stack


@pytest.fixture
def fresh_stack(
    own_redis: RedisProcess,
    openai_server: OpenAIServer,
    new_broker: Callable[[], Broker | None],
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> Iterator[FreshStack]:
    """Start a stack of the test's own: `fresh_stack(modems=1, BAUD_AGENT__MAX_STEPS="3")`; `None` unsets a key.

    Its model is SMALL_MODEL unless BAUD_LLM__MODEL names another.
    """
    with ExitStack() as opened:
        stacks: list[Stack] = []
        request.node.stash[_STACKS] = stacks

        def start(*, modems: int = 1, **settings: str | None) -> Stack:
            wanted = {**model_settings(openai_server, SMALL_MODEL), **settings}
            given = {name: value for name, value in wanted.items() if value is not None}
            stack = Stack(own_redis.url, tmp_path, given, modems=modems, broker=new_broker())
            stacks.append(stack)
            return opened.enter_context(stack)

        yield start


_STACKS = pytest.StashKey[list[Stack]]()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Function, call: pytest.CallInfo[None]) -> Any:
    """Show what the processes printed, and the newest events, when a test fails."""
    outcome = yield
    report = outcome.get_result()
    if not report.failed:
        return
    shared = item.funcargs.get("shared_stack")
    stacks = [*item.stash.get(_STACKS, []), *([shared] if isinstance(shared, Stack) else [])]
    for process in (process for stack in stacks for process in stack.processes):
        report.sections.append((f"{process.name} (end of its log)", process.output()[-_LOG_TAIL_CHARS:]))
    for stack in stacks:
        with suppress(RedisError):  # the failure may well be that it is gone
            report.sections.extend(_newest_events(stack.redis))


def _newest_events(redis: Redis) -> Iterator[tuple[str, str]]:
    for stream in islice(redis.scan_iter("thread:*:stream"), _STREAMS_SHOWN):
        entries: Any = redis.xrevrange(stream, count=_EVENTS_SHOWN)
        yield (
            f"{stream} (its end)",
            "\n".join(str(fields.get("data"))[:_EVENT_CHARS] for _, fields in reversed(entries)),
        )
