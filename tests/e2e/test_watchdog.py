"""A call that blocks a worker's interpreter ends that worker, then a second one, and no more."""

from pathlib import Path

from shared.contract.run import StopReason
from tests.e2e.conftest import FreshStack
from tests.e2e.plugin_tool import settings_with_plugin
from tests.e2e.service_process import wait_until
from tests.e2e.test_takeover import PLAN, assert_every_call_ended_once, attempts_announced, watched
from tests.fakes.openai_script import Answer, Call
from tests.fakes.openai_server import OpenAIServer

# The shortest lease whose double is not below what a busy machine needs.
SETTINGS = {"BAUD_MODEM__LEASE_SECONDS": "2.5", "BAUD_MODEM__RENEW_SECONDS": "0.4"}
HOLD = Answer(calls=(Call(name="hold", arguments={}),))
END = Answer(text="Then without it.")


def test_a_call_that_holds_the_interpreter_ends_two_workers_and_is_not_made_a_third_time(
    fresh_stack: FreshStack, openai_server: OpenAIServer, tmp_path: Path
) -> None:
    openai_server.play([PLAN, HOLD, END])
    plugin = settings_with_plugin(tmp_path / "plugin")
    stack = fresh_stack(modems=3, **SETTINGS, **plugin)
    with watched(stack) as run:
        ended = run.end()
    assert ended.stop_reason == StopReason.COMPLETED
    assert (ended.record.attempts, ended.record.crashes) == (3, 2)
    assert [status["attempt"] for status in attempts_announced(ended) if isinstance(status, dict)] == [2, 3]
    assert_every_call_ended_once(ended)
    held = [int(line) for line in Path(plugin["HOLD_LOG"]).read_text().split()]
    assert len(held) == len(set(held)) == 2
    assert "may have been carried out fully, partly, or not at all" in str(openai_server.requests[-1]["messages"])
    lost = [modem for modem in stack.modems if modem.pid in held]
    wait_until(lambda: all(modem.has_ended() for modem in lost), "both workers have ended themselves")
    assert [modem.wait() for modem in lost] == [1, 1]
    assert all("hold_tool.py" in modem.output() for modem in lost), "the dump names the code that held on"
    (left,) = [modem for modem in stack.modems if modem not in lost]
    assert not left.has_ended()
