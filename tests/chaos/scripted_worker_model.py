"""A Model without a provider: plans, makes a few turns of deltas and tool calls, and completes.

Its answers follow from the conversation alone, so that any worker can go on with it. Each delta carries a tag of the
attempt that streamed it and its own number; each effect writes one line with its call id, each call of the model one
with its turn. Earlier versions of Baud load this file too, so it imports only what they have.
"""

import asyncio
import json
import os
import random
from collections.abc import AsyncGenerator, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Final

from shared.contract.message import ChatMessage, Role, ToolCall
from shared.contract.run import Usage
from workflow.llm.model import FinishReason, ModelAnswer, ModelRequest, StreamItem, TextDelta

EFFECTS_FILE: Final = "effects.log"
MODEL_CALLS_FILE: Final = "model_calls.log"  # in the folder that the workers are started in
GATES_FOLDER: Final = "gates"  # beside it: a run that is held goes on once there is a file with its name
LETTER_FILE: Final = "letter.txt"  # in the workspace: what the call that needs approval changes
LETTER_TEXT: Final = "draft\n"
_TO_WORKER_FOLDER: Final = "../../../.."  # from a workspace in its folder of data, without isolation
_POLL_SECONDS: Final = 0.05
_MIN_PAUSE_SECONDS: Final = 0.03
_MAX_PAUSE_SECONDS: Final = 0.1


class Pause(StrEnum):
    """What a run waits for in the last turn that has calls."""

    NONE = ""  # nothing
    GATE = "gate"  # a file, in the middle of the model's answer
    COMMAND = "command"  # the same file, in a command whose effect must not happen twice
    QUESTION = "question"  # the answer of a person
    APPROVAL = "approval"  # the approval of a person


@dataclass(frozen=True, slots=True)
class Script:
    """What a task asks for: its text is this as JSON."""

    name: str
    turns: int
    pause: Pause = Pause.NONE

    def as_task(self) -> str:
        """Return the text of the task."""
        return json.dumps(asdict(self))


class ScriptedWorker:
    """Plays the script of the conversation's last task."""

    async def stream(self, request: ModelRequest) -> AsyncGenerator[StreamItem, None]:
        """Yield the pieces of the next turn and its calls."""
        script, turn = _position(request.messages)
        _log_call(f"{script.name} {turn}")
        pauses, calls = _turn(script, turn)
        texts = []
        for word, pause in enumerate(pauses):
            texts.append(f"<{_tag()}> turn {turn} word {word} ")
            yield TextDelta(texts[-1])
            await asyncio.sleep(pause)
            if word == 0 and turn == script.turns and script.pause == Pause.GATE:
                await _until_open(script.name)
        finish = FinishReason.TOOL_CALLS if calls else FinishReason.STOP
        yield ModelAnswer("".join(texts), calls, finish, Usage(input_tokens=1, output_tokens=len(texts)))


def make_model(_config: object) -> ScriptedWorker:
    """Return the model; the adapter that the configuration names."""
    return ScriptedWorker()


def effects_of(script: Script) -> set[str]:
    """Return the ids of all calls of a complete run that have an effect which must not happen twice."""
    calls = [call for turn in range(1, script.turns + 1) for call in _turn(script, turn)[1]]
    return {call.call_id for call in calls if call.name == "bash"}


async def _until_open(name: str) -> None:
    gate = Path(GATES_FOLDER, name)
    while not gate.exists():  # noqa: ASYNC110, ASYNC240 - no event comes from another process
        await asyncio.sleep(_POLL_SECONDS)


def _log_call(text: str) -> None:
    with Path(MODEL_CALLS_FILE).open("a") as file:
        file.write(text + "\n")


def _turn(script: Script, turn: int) -> tuple[list[float], tuple[ToolCall, ...]]:
    """Return the pauses after each piece of text, and the calls."""
    chance = random.Random(f"{script.name} {turn}")
    pauses = [chance.uniform(_MIN_PAUSE_SECONDS, _MAX_PAUSE_SECONDS) for _ in range(chance.randint(3, 6))]
    return pauses, _calls(script, turn, chance)


def _tag() -> str:
    """Return a tag of the attempt: each attempt of a run is one task of one process."""
    task = asyncio.current_task()
    assert task is not None
    return f"{os.getpid()}.{task.get_name()}"


def _position(messages: Sequence[ChatMessage]) -> tuple[Script, int]:
    """Return the script of the last task, and how many answers it has had."""
    turn = 0
    for message in reversed(messages):
        if message.role is Role.ASSISTANT:
            turn += 1
            continue
        task = message.text().rpartition("\n")[2]  # what else was posted with it comes before
        if message.role is Role.USER and task.startswith('{"name"'):
            return Script(**json.loads(task)), turn
    raise AssertionError("the conversation holds no task")


def _calls(script: Script, turn: int, chance: random.Random) -> tuple[ToolCall, ...]:
    if turn > script.turns:
        return ()
    if turn == 0:
        return (_call(script, turn, 0, "job_plan", name=script.name, plan="write one line per turn"),)
    if turn == script.turns and script.pause == Pause.QUESTION:
        return (_call(script, turn, 0, "ask_user", question=f"{script.name}: which colour?"),)
    if turn == script.turns and script.pause == Pause.APPROVAL:
        return (_call(script, turn, 0, "file_edit", path=LETTER_FILE, old_str=LETTER_TEXT, new_str="sent\n"),)
    if turn == 1 and script.pause == Pause.APPROVAL:
        return (_call(script, turn, 0, "files_creation", files=[{"file_path": LETTER_FILE, "content": LETTER_TEXT}]),)
    if turn == script.turns and script.pause == Pause.COMMAND:
        return (_waiting_command(script, turn),)
    wanted = [0, *chance.sample((0, 1, 2, 3), k=chance.randint(1, 3))]
    chance.shuffle(wanted)
    return tuple(_work(script, turn, number, kind) for number, kind in enumerate(wanted))


def _work(script: Script, turn: int, number: int, kind: int) -> ToolCall:
    """Return a call: one with an effect that must not happen twice, one that may, or one that reads."""
    if kind == 0:
        line = f"{script.name} {_call_id(script, turn, number)}"
        cmd = f"sleep 0.1; echo '{line}' >> {EFFECTS_FILE}; sleep 0.1"
        return _call(script, turn, number, "bash", cmd=cmd)
    if kind == 1:
        file = {"file_path": f"notes/{turn}.txt", "content": f"turn {turn}\n"}
        return _call(script, turn, number, "files_creation", files=[file])
    if kind == 2:
        return _call(script, turn, number, "ls", path=".")
    return _call(script, turn, number, "todo_read")


def _waiting_command(script: Script, turn: int) -> ToolCall:
    line, gate = f"{script.name} {_call_id(script, turn, 0)}", f"{_TO_WORKER_FOLDER}/{GATES_FOLDER}/{script.name}"
    cmd = f"echo '{line}' >> {EFFECTS_FILE}; until [ -e {gate} ]; do sleep {_POLL_SECONDS}; done"
    return _call(script, turn, 0, "bash", cmd=cmd)


def _call(script: Script, turn: int, number: int, name: str, /, **arguments: object) -> ToolCall:
    return ToolCall(call_id=_call_id(script, turn, number), name=name, arguments=json.dumps(arguments))


def _call_id(script: Script, turn: int, number: int) -> str:
    return f"{script.name}-{turn}-{number}"
