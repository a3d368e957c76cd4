"""What a person or a program does through one gateway: post a task, steer, answer, approve, cancel, interrupt."""

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final

import httpx

from shared.contract.run import RunStatus
from tests.chaos.run_client import Followed
from tests.chaos.scripted_worker_model import Script

Body = Mapping[str, Any]
NOTHING: Final[Body] = MappingProxyType({})


class Person:
    """Every method raises httpx.HTTPStatusError for what the gateway refuses."""

    def __init__(self, http: httpx.AsyncClient, url: str) -> None:
        self._http = http
        self._url = url

    async def begin(
        self, script: Script, *, expected: RunStatus = RunStatus.COMPLETED, thread: Body = NOTHING, task: Body = NOTHING
    ) -> Followed:
        """Post a task on a new thread; `thread` and `task` are further members of the two requests."""
        made = await self._post("/api/agent/initiate", thread)
        return await self._execute(str(made["thread_id"]), script, expected, task)

    async def queue(self, run: Followed, script: Script) -> Followed:
        """Post a task that waits for an active run to end."""
        return await self._execute(run.thread_id, script, RunStatus.COMPLETED, NOTHING)

    async def interrupt(self, run: Followed, script: Script) -> Followed:
        """Post a task that takes the place of an active run."""
        return await self._execute(run.thread_id, script, RunStatus.COMPLETED, {"on_busy": "interrupt"})

    async def steer(self, run: Followed, text: str) -> None:
        """Send a text to an active run, twice, as if the answer had been lost."""
        path, body = f"/api/agent/{run.thread_id}/execute", {"task": text, "on_busy": "steer"}
        for _ in range(2):
            answer = await self._post(path, body, {"Idempotency-Key": text})
            assert answer["run_id"] == run.run_id, f"{text!r} became a run of its own"

    async def answer(self, run: Followed, text: str) -> None:
        """Answer a question."""
        await self._post(self._of_run(run, "input"), {"answer": text})

    async def approve(self, run: Followed) -> None:
        """Approve a tool call."""
        await self._post(self._of_run(run, "input"), {"decision": "approve"})

    async def cancel(self, run: Followed) -> None:
        """Cancel a run."""
        await self._post(self._of_run(run, "cancel"), {})

    async def _execute(self, thread_id: str, script: Script, expected: RunStatus, further: Body) -> Followed:
        body = {"task": script.as_task(), **further}
        answer = await self._post(f"/api/agent/{thread_id}/execute", body, {"Idempotency-Key": script.name})
        return Followed(thread_id, str(answer["run_id"]), script, self._url, expected)

    async def _post(self, path: str, body: Body, headers: Mapping[str, str] | None = None) -> Mapping[str, Any]:
        answer = await self._http.post(self._url + path, json=dict(body), headers=headers)
        answer.raise_for_status()
        decoded: Mapping[str, Any] = json.loads(answer.content or b"{}")
        return decoded

    def _of_run(self, run: Followed, verb: str) -> str:
        return f"/api/agent/{run.thread_id}/runs/{run.run_id}/{verb}"
