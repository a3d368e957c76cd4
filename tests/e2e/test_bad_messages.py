"""Messages that cannot be read are put aside with their reason; the worker and its other runs do not notice."""

import json
import subprocess
import sys
from typing import Any

from shared.contract.dead_letter import DeadLetter
from shared.keys import DEAD_LETTERS
from tests.e2e.conftest import FreshStack
from tests.e2e.service_process import service_environment, wait_until
from tests.e2e.stack import Stack
from tests.e2e.ugly_messages import UGLY, flow
from tests.fakes.openai_script import Answer
from tests.fakes.openai_server import OpenAIServer

QUEUE = "celery"


def letters(stack: Stack) -> list[DeadLetter]:
    found: Any = stack.redis.lrange(DEAD_LETTERS, 0, -1)
    return [DeadLetter.model_validate_json(each) for each in found]


def push(stack: Stack, text: str | bytes) -> None:
    stack.redis.lpush(QUEUE, text.encode("utf-8", "surrogatepass") if isinstance(text, str) else text)


def test_every_bad_message_is_put_aside_and_a_run_beside_them_completes(
    fresh_stack: FreshStack, openai_server: OpenAIServer
) -> None:
    openai_server.play([Answer(text="Slow, and to the end of it.", piece=2, delay=0.2), Answer(text="Still here.")])
    stack = fresh_stack()
    (modem,) = stack.modems
    thread_id = stack.initiate()
    run_id = stack.execute(thread_id, "Tell")
    wait_until(lambda: bool(stack.log(thread_id)), "the run has begun")
    for text, _ in UGLY.values():
        push(stack, text)
    wait_until(lambda: len(letters(stack)) >= len(UGLY), "every message is put aside", 30)
    assert stack.follow(thread_id, run_id).record.attempts == 1
    put_aside = {letter.message: letter.reason for letter in letters(stack)}
    assert len(put_aside) == len(letters(stack)) == len(UGLY)
    reasons = [letter.reason for letter in reversed(letters(stack))]
    wrong = [(name, word) for name, (_, word) in UGLY.items() if not any(word in reason for reason in reasons)]
    assert wrong == []
    assert stack.run("Are you there?").stop_reason == "completed"
    assert not modem.has_ended()
    wait_until(lambda: stack.broker.unsettled() == 0, "every message is done with")
    assert "ERROR forged" not in [line.strip() for line in modem.output().splitlines()]


def queue_dead(stack: Stack, *arguments: str, text: str = "") -> subprocess.CompletedProcess[str]:
    """Run `baud queue dead`, as an operator on a worker's machine does."""
    return subprocess.run(
        [sys.executable, "-P", "-c", "from modem.core.queue_command import app; app()", "dead", *arguments],
        env=service_environment(stack.settings),
        cwd=stack.folder,
        input=text,
        capture_output=True,
        text=True,
        timeout=40,
        check=False,
    )


def test_dead_letters_are_listed_mended_and_put_back(fresh_stack: FreshStack, openai_server: OpenAIServer) -> None:
    openai_server.play([Answer(text="Mended."), Answer(text="Valid now.")])
    stack = fresh_stack()
    assert queue_dead(stack).stdout == "no message was put aside\n"
    push(stack, flow(flow_uuid="a:b", flow_input_uuid="one"))
    wait_until(lambda: len(letters(stack)) == 1, "the message is put aside")
    listed = queue_dead(stack)
    assert listed.returncode == 0, listed.stderr
    (letter,) = json.loads(queue_dead(stack, "--json").stdout)
    assert (letter["queue"], letter["is_cut"]) == ("celery", False)
    assert "flow_uuid" in letter["reason"]
    stays = queue_dead(stack, "--retry", letter["id"])
    assert (stays.returncode, stays.stdout) == (1, "0 put back, 1 left\n")
    assert "flow_uuid: must have 1 to 128 characters" in stays.stderr
    unknown = queue_dead(stack, "--retry", "nobody")
    assert (unknown.returncode, unknown.stderr.count("no dead letter has the id 'nobody'")) == (2, 1)
    mended = queue_dead(
        stack, "--retry", letter["id"], "--message", "-", text=flow(flow_uuid="a b", flow_input_uuid="one")
    )
    assert (mended.returncode, mended.stdout) == (0, "1 put back, 0 left\n"), mended.stderr
    assert stack.follow("a b", "one").stop_reason == "completed"
    assert letters(stack) == []
    valid = letter | {"id": "later", "message": flow(flow_uuid="a b", flow_input_uuid="two")}
    stack.redis.lpush(DEAD_LETTERS, json.dumps(valid))
    everything = queue_dead(stack, "--retry", "all")
    assert (everything.returncode, everything.stdout) == (0, "1 put back, 0 left\n"), everything.stderr
    assert stack.follow("a b", "two").stop_reason == "completed"
