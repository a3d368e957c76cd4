"""Messages that cannot be read are put aside with their reason; the worker and its other runs do not notice."""

from typing import Any

from shared.contract.dead_letter import DeadLetter
from shared.keys import DEAD_LETTERS
from tests.e2e.conftest import FreshStack
from tests.e2e.service_process import wait_until
from tests.e2e.stack import Stack
from tests.e2e.ugly_messages import UGLY
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
    assert (stack.broker.waiting(), stack.broker.unacknowledged()) == (0, 0)
    assert "ERROR forged" not in [line.strip() for line in modem.output().splitlines()]
