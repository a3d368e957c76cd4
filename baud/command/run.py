"""`baud run`: runs one task and shows its events as they come."""

import asyncio
import os
import sys
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Annotated

import typer
from rich.console import Console

from baud import AsyncBaud, Event, StopReason
from baud.command.open_client import find_api_key, open_client
from baud.command.open_gateway import Gateway, open_gateway
from baud.command.options import ApiKeyFile, DataFolder, Json, Url
from baud.sdk.errors import BaudClientError
from baud.stack_options import DEFAULT_DATA_DIR, StackOptions, redis_url_from
from baud.terminal.console import print_to_stderr, read_line
from baud.terminal.interruption import Interruption
from baud.terminal.render import RunView, completion_of
from shared.contract.event import ExecuteType
from shared.contract.run import Decision

EXIT_STOPPED = 130  # the exit code of shells for Ctrl-C
_CANCEL_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class RunRequest:
    """What the user asked for; an empty `thread_id` makes a new thread."""

    task: str
    thread_id: str
    url: str
    api_key: str = field(repr=False)
    as_json: bool
    options: StackOptions


def exit_code_of(reason: StopReason) -> int:
    """Return the exit code for the way a run ended."""
    if reason is StopReason.CANCELLED:
        return EXIT_STOPPED
    return 0 if reason is StopReason.COMPLETED else 1


class RunCommand:
    """Carries out one `baud run` against a gateway."""

    def __init__(self, request: RunRequest, baud: AsyncBaud, gateway: Gateway) -> None:
        self._request = request
        self._baud = baud
        self._gateway = gateway
        self._view = RunView(Console(highlight=False), again=gateway.options)

    async def run(self) -> int:
        """Run the task and ask the user the agent's questions; return the exit code."""
        thread_id = self._request.thread_id or (await self._baud.initiate()).thread_id
        run_id = (await self._baud.execute(thread_id, self._request.task)).run_id
        try:
            return await self._follow(thread_id, run_id)
        except asyncio.CancelledError:
            await self._cancel(thread_id, run_id)
            raise

    async def _follow(self, thread_id: str, run_id: str) -> int:
        async with aclosing(self._baud.run_stream(thread_id, run_id)) as events:
            async for event in events:
                self._show(event)
                if event.is_completion:
                    return exit_code_of(completion_of(event)[0])
                if event.is_question and not await self._answer(thread_id, run_id, event):
                    return 1
        raise BaudClientError(f"the stream ended before the run did; follow it with: baud tail {thread_id}")

    async def _answer(self, thread_id: str, run_id: str, event: Event) -> bool:
        """Ask the user; False without a terminal: the run stays waiting."""
        if self._request.as_json or not sys.stdin.isatty():
            first = "start baud up on the same --data-dir, then " if self._gateway.is_own else ""
            print_to_stderr(f"the run waits for you; {first}answer with: baud answer {thread_id}")
            return False
        is_approval = event.execute_type == ExecuteType.APPROVAL
        text = await read_line("approve? [y/N] " if is_approval else "your answer: ")
        if not text and not is_approval:
            return False
        decision = None
        if is_approval:
            decision = Decision.APPROVE if text.lower() in ("y", "yes") else Decision.DENY
        await self._baud.send_input(thread_id, run_id, text, decision=decision)
        return True

    def _show(self, event: Event) -> None:
        if self._request.as_json:
            typer.echo(event.to_json())
        else:
            self._view.show(event)

    async def _cancel(self, thread_id: str, run_id: str) -> None:
        print_to_stderr("stopping the run")
        try:
            async with asyncio.timeout(_CANCEL_SECONDS):
                await self._baud.cancel(thread_id, run_id)
        except BaudClientError as error:
            print_to_stderr(f"the run could not be cancelled: {error}")
        except TimeoutError:
            print_to_stderr("the run could not be cancelled: no answer in time")


async def carry_out(request: RunRequest) -> int:
    """Find or start a gateway and run the task there; return the exit code."""
    async with (
        Interruption() as interruption,
        open_gateway(request.url, request.options, interruption, env=os.environ) as gateway,
        open_client(gateway.url, request.api_key) as baud,
    ):
        return await RunCommand(request, baud, gateway).run()
    return EXIT_STOPPED


def run(
    task: Annotated[str, typer.Argument(help="What the agent is to do.")],
    *,
    thread: Annotated[str, typer.Option(help="Go on with this thread.")] = "",
    url: Url = "",
    api_key_file: ApiKeyFile = None,
    as_json: Json = False,
    model: Annotated[str, typer.Option(help="LiteLLM name of the model, for a stack started by this command.")] = "",
    data_dir: DataFolder = DEFAULT_DATA_DIR,
) -> None:
    """Give the agent a task and show its events.

    Without a gateway to talk to, a stack is started for this run. Exit code: 0 completed, 1 failed,
    130 stopped; Ctrl-C stops the run.

    Examples:

        baud run "write a haiku into haiku.txt"

        baud run --thread 4f1c... "now translate it into French"

        baud run --json "list the files" | jq .data.execute_type
    """
    if not task.strip():
        raise typer.BadParameter("the task is blank; describe what the agent is to do")
    options = StackOptions(data_dir=data_dir, port=0, model=model, redis_url=redis_url_from(os.environ))
    request = RunRequest(
        task=task,
        thread_id=thread,
        url=url,
        api_key=find_api_key(api_key_file, os.environ),
        as_json=as_json,
        options=options,
    )
    raise typer.Exit(asyncio.run(carry_out(request)))
