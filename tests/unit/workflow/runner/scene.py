"""One run of the engine with fakes around it: what a test sets up and checks."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

from pydantic import JsonValue

from shared.config import AgentConfig, LLMConfig
from shared.contract.message import ChatMessage
from shared.contract.run import Answer, ContextItem, Question, RunRecord, Usage
from shared.contract.state import AgentState, Phase
from shared.contract.thread import ThreadRecord
from tests.fakes.fake_cancellation import FakeCancellation
from tests.fakes.fake_clock import FakeClock
from tests.fakes.fake_run_log import FakeRunLog
from tests.fakes.fake_sandbox import FakeSandbox
from tests.fakes.scripted_model import Reply, Script, ScriptedModel, calls
from tests.fakes.scripted_tool import LookTool
from workflow.agent.agent import Agent
from workflow.agent.engine import Engine, PromptFacts
from workflow.agent.prompts import task_message
from workflow.agent.tool_call_runner import ToolCallRunner
from workflow.journal.events import EventFactory
from workflow.journal.journal import Journal
from workflow.journal.limits import Limits
from workflow.journal.outcome import Outcome
from workflow.llm.token_counter import EstimatingCounter
from workflow.runner.runner import Runner
from workflow.service.sandbox.base import Sandbox, WorkspacePlace
from workflow.tool.registry import RegisteredTool, ToolRegistry

NOW = "2026-01-02T03:04:05.000000+00:00"
PLAN = calls(("job_plan", {"name": "tea", "plan": "1. drink"}))


def registry_with(*tools: LookTool, timeout_seconds: float = 5.0, max_output_chars: int = 30_000) -> ToolRegistry:
    """Return the built-in tools and these."""
    builtin = ToolRegistry.from_config({}, plugins=())
    known = [builtin.get(spec.name) for spec in builtin.specs(Phase.EXECUTION)]
    spec = known[0].spec
    further = [
        RegisteredTool(
            tool=tool,
            spec=type(spec)(tool.name, tool.description, {"type": "object"}),
            timeout_seconds=timeout_seconds,
            max_output_chars=max_output_chars,
            approval="never",
            options={},
        )
        for tool in tools
    ]
    return ToolRegistry([*known, *further])


@dataclass
class Scene:
    """A run to be played: `await scene.play()`; afterwards `log`, `model` and `journal` show what happened."""

    script: Sequence[Script]
    registry: ToolRegistry = field(default_factory=registry_with)
    config: AgentConfig = field(default_factory=AgentConfig)
    counter: LLMConfig = field(default_factory=LLMConfig)
    log: FakeRunLog = field(default_factory=FakeRunLog)
    sandbox: Callable[[], Awaitable[Sandbox]] | None = None
    task: str = "make tea"
    context_data: tuple[ContextItem, ...] = ()
    thread_context: dict[str, JsonValue] = field(default_factory=dict)
    parameters: dict[str, JsonValue] = field(default_factory=dict)
    run_id: str = "r1"
    attempts: int = 1
    after_crash: bool = False
    grace_seconds: float = 5.0
    answer: Answer | None = None
    usage: Usage = field(default_factory=Usage)
    messages: Sequence[ChatMessage] = ()
    state: AgentState = field(default_factory=AgentState)
    place: WorkspacePlace | None = None

    def __post_init__(self) -> None:
        self.model = ScriptedModel(self.script)
        self.cancellation = FakeCancellation()
        self.run = RunRecord(
            run_id=self.run_id,
            thread_id="t1",
            task=self.task,
            context_data=self.context_data,
            parameters=self.parameters,
            created_at=NOW,
            usage=self.usage,
            attempts=self.attempts,
            after_crash=self.after_crash,
            answer=self.answer,
        )
        self.thread = ThreadRecord(thread_id="t1", created_at=NOW, updated_at=NOW, context=self.thread_context)
        events = EventFactory("t1", self.run_id, FakeClock())
        self.journal = Journal(self.log, events, self.run, messages=self.messages, state=self.state)

    async def play(self) -> Outcome:
        """Execute the run to its end."""
        outcome = await self.execute()
        assert isinstance(outcome, Outcome), f"the run did not end: {outcome}"
        return outcome

    async def ask(self) -> Question:
        """Execute the run to the question that it waits for."""
        question = await self.execute()
        assert isinstance(question, Question), f"the run does not wait: {question}"
        return question

    async def execute(self) -> Outcome | Question | None:
        """Execute the run until it ends, waits for a person or is handed over."""
        engine = self._engine()
        call_runner = ToolCallRunner(engine, self.journal, thread_id="t1", run_id=self.run_id)
        agent = Agent(engine, self.journal, call_runner)
        limits = Limits.of(self.config, self.parameters)
        runner = Runner(agent, self.journal, limits, grace_seconds=self.grace_seconds)
        await self.journal.begin(self.task_message(), self.find_place, tools=self.registry)
        return await runner.run(self.cancellation)

    def task_message(self) -> ChatMessage:
        """Return the user message of the run."""
        return task_message(self.run, self.thread, self.messages)

    async def find_place(self) -> WorkspacePlace | None:
        """Return where the thread's files are."""
        return self.place

    def answers(self) -> list[tuple[str | None, str]]:
        """Return (call id, text) of the tool messages as they were written."""
        return [(m.tool_call_id, m.text()) for m in self.log.messages if m.role == "tool"]

    def _engine(self) -> Engine:
        counter = EstimatingCounter(self.counter)
        return Engine(
            models=dict.fromkeys(Phase, self.model),
            counters=dict.fromkeys(Phase, counter),
            registry=self.registry,
            sandbox=self.sandbox or _fake_sandbox,
            config=self.config,
            prompt_facts=PromptFacts(today="2026-01-02", network="open"),
        )


def looks(*numbers: int, tool: str = "look") -> Reply:
    """Return a turn that calls a scripted tool with each of these numbers."""
    wanted: list[tuple[str, dict[str, JsonValue] | str]] = [(tool, {"number": number}) for number in numbers]
    return calls(*wanted)


async def _fake_sandbox() -> Sandbox:
    return FakeSandbox()
