"""The complete stack as a user starts it: a gateway and modems as processes on one Redis."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx
from redis import Redis

from shared.contract.event import TASK_EVENT
from shared.contract.run import RunRecord
from tests.e2e.broker import Broker, RedisBroker
from tests.e2e.event_log import EndedRun, Frame, LogEvent, read_frames
from tests.e2e.service_process import ServiceProcess, wait_until
from tests.event_data import read_data

GATEWAY_URL = r"http://127\.0\.0\.1:\d+"
_START_SECONDS = 60.0
_READ_SECONDS = 30.0


class Stack:
    """An open stack; a context manager that stops its processes, modems first."""

    def __init__(
        self,
        redis_url: str,
        folder: Path,
        settings: Mapping[str, str],
        *,
        modems: int = 1,
        redis: Redis | None = None,
        broker: Broker | None = None,
    ) -> None:
        self.redis_url = redis_url
        self.folder = folder
        self.redis = redis or Redis.from_url(redis_url, decode_responses=True)
        self.broker: Broker = broker or RedisBroker(redis_url, self.redis)
        self.settings = {
            "REDIS_URL": redis_url,
            "BAUD_DATA_DIR": str(folder / "data"),
            **({"BAUD_MODEM__BROKER_URL": broker.url} if broker else {}),
            **settings,
        }
        self.modems: list[ServiceProcess] = []
        self._gateway: ServiceProcess | None = None
        self._http: httpx.Client | None = None
        self._modem_count = modems

    def __enter__(self) -> "Stack":
        self._gateway = ServiceProcess(
            "gateway", ("gateway", "--port", "0"), settings=self.settings, folder=self.folder
        )
        for number in range(self._modem_count):
            self.start_modem(f"modem-{number}")
        try:
            url = self._gateway.wait_for(GATEWAY_URL, _START_SECONDS)
            self._http = httpx.Client(base_url=url, timeout=_READ_SECONDS, trust_env=False)
            if self._modem_count:
                wait_until(self._is_healthy, "the stack is healthy", _START_SECONDS)
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop everything."""
        for process in self.modems:
            if not process.has_ended():
                process.terminate()
        for process in self.processes:
            process.stop()
        if self._http is not None:
            self._http.close()
        self.redis.close()

    @property
    def processes(self) -> list[ServiceProcess]:
        """Every process, in the order in which they are stopped."""
        return [*self.modems, *([self._gateway] if self._gateway else [])]

    @property
    def gateway(self) -> ServiceProcess:
        """The gateway."""
        assert self._gateway is not None
        return self._gateway

    @property
    def http(self) -> httpx.Client:
        """A client whose paths begin at the gateway."""
        assert self._http is not None
        return self._http

    @property
    def url(self) -> str:
        """The gateway's address."""
        return str(self.http.base_url)

    def start_modem(self, name: str, settings: Mapping[str, str] | None = None) -> ServiceProcess:
        """Start a modem, with settings of its own if given."""
        merged = {**self.settings, **(settings or {})}
        process = ServiceProcess(name, ("modem",), settings=merged, folder=self.folder)
        self.modems.append(process)
        return process

    def _is_healthy(self) -> bool:
        dead = [process for process in self.processes if process.has_ended()]
        assert not dead, f"{dead[0].name} ended before the stack was ready:\n{dead[0].output()}"
        answer = self.http.get("/health")
        return bool(answer.json()["status"] == "healthy")

    def until_probed(self, path: str, **members: str) -> httpx.Response:
        """Return the first answer of a probe with these members: its values may be a second old."""
        answers: list[httpx.Response] = []

        def has_members() -> bool:
            answers.append(self.http.get(path))
            body = answers[-1].json()
            return all(body.get(name) == value for name, value in members.items())

        wait_until(has_members, f"{path} has {members}")
        return answers[-1]

    def initiate(self, **body: Any) -> str:
        """Return the id of a new thread."""
        answer = self.http.post("/api/agent/initiate", json=body)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["thread_id"])

    def post_task(self, thread_id: str, task: str, *, headers: Mapping[str, str] | None = None, **body: Any) -> Any:
        """Return the answer's JSON to a task that is taken."""
        answer = self.http.post(f"/api/agent/{thread_id}/execute", json={"task": task, **body}, headers=headers)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def execute(self, thread_id: str, task: str, **body: Any) -> str:
        """Return the id of a new run."""
        return str(self.post_task(thread_id, task, **body)["run_id"])

    def run(self, task: str, *, thread_id: str = "", **body: Any) -> EndedRun:
        """Post a task, on a new thread unless one is given, and follow it to its end."""
        thread_id = thread_id or self.initiate()
        return self.follow(thread_id, self.execute(thread_id, task, **body))

    def follow(self, thread_id: str, run_id: str) -> EndedRun:
        """Return a run with all its events, as soon as it has ended."""
        with self.frames(f"/api/agent/{thread_id}/runs/{run_id}/stream") as frames:
            events = [LogEvent.of(frame) for frame in frames if frame.id is not None]
        return EndedRun(thread_id, run_id, events, self.record(thread_id, run_id))

    @contextmanager
    def frames(self, path: str, *, after: str = "", **query: str) -> Iterator[Iterator[Frame]]:
        """Open an event stream; `after` is a last id that goes out as the header."""
        headers = {"Last-Event-ID": after} if after else {}
        with self.http.stream("GET", path, params=query, headers=headers) as response:
            assert response.status_code == 200, response.read()
            yield read_frames(response.iter_lines())

    def record(self, thread_id: str, run_id: str) -> RunRecord:
        """Return the record of a run."""
        answer = self.http.get(f"/api/agent/{thread_id}/runs/{run_id}")
        assert answer.status_code == 200, answer.text
        return RunRecord.model_validate_json(answer.content)

    def log(self, key: str) -> Sequence[LogEvent]:
        """Return a stream as it is in Redis: a thread's by its id, another by its key."""
        stream = key if ":" in key else f"thread:{key}:stream"
        entries: Any = self.redis.xrange(stream)
        assert all(fields["event"] == TASK_EVENT for _, fields in entries)
        return [LogEvent(entry_id, read_data(fields["data"])) for entry_id, fields in entries]

    def workspace(self, thread_id: str) -> Path:
        """Return the folder that the thread's tools work in."""
        return self.folder / "data" / "sandboxes" / thread_id / "workspace"
