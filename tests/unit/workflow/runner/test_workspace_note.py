"""The model gets a note when its run continues, about its files and its processes."""

from collections.abc import Sequence

import pytest

from shared.contract.message import ChatMessage, Role, ToolCall
from shared.contract.state import AgentState, CallInFlight, Phase
from tests.fakes.fake_run_log import Commit
from tests.fakes.scripted_model import calls, says
from tests.unit.workflow.runner.scene import NOW, PLAN, Scene
from tests.unit.workflow.runner.takeover import UNKNOWN
from workflow.service.sandbox.base import WorkspacePlace

HERE = WorkspacePlace("here", has_files=True)
HERE_EMPTY = WorkspacePlace("here", has_files=False)
ELSEWHERE = "are not here"
AS_THEY_WERE = "The files are as they were"
WORK = (
    ChatMessage(role=Role.USER, content="make tea", run_id="r1"),
    ChatMessage(
        role=Role.ASSISTANT,
        content="",
        tool_calls=(ToolCall(call_id="b", name="bash", arguments='{"cmd": "make tea"}'),),
        run_id="r1",
    ),
)
DONE = ChatMessage(role=Role.TOOL, content="ok", tool_call_id="b", run_id="r1")


def state(disk: str, *, in_flight: Sequence[CallInFlight] = ()) -> AgentState:
    return AgentState(phase=Phase.EXECUTION, workspace_disk=disk, in_flight=tuple(in_flight))


def notes(scene: Scene) -> list[str]:
    """Return the notes to the model: user messages that are not tasks."""
    return [m.text() for m in scene.log.messages if m.role is Role.USER and m.text() != scene.task]


def of(commits: Sequence[Commit]) -> AgentState:
    return next((commit.state for commit in reversed(commits) if commit.state is not None), AgentState())


@pytest.mark.parametrize(
    ("disk", "place", "text"),
    [
        ("here", HERE, AS_THEY_WERE),
        ("", HERE, AS_THEY_WERE),
        ("here", None, AS_THEY_WERE),
        (
            "there",
            HERE_EMPTY,
            "that you worked on last. The workspace here is empty",
        ),
        ("there", HERE, "The workspace here is as you left it when you last worked on this machine"),
        ("here", HERE_EMPTY, f"{ELSEWHERE}: the workspace was removed"),
        ("", HERE_EMPTY, f"{ELSEWHERE}: the workspace was removed"),
    ],
)
async def test_a_takeover_writes_a_note_about_the_files(disk: str, place: WorkspacePlace | None, text: str) -> None:
    scene = Scene([says("done")], messages=[*WORK, DONE], state=state(disk), attempts=2, place=place)
    await scene.play()
    (note,) = notes(scene)
    assert text in note
    assert (ELSEWHERE in note) is not (AS_THEY_WERE in note)
    assert scene.model.requests[0].messages[-1].text() == note
    assert "status_sandbox_info" in [kind for kind, _ in scene.log.kinds()]


@pytest.mark.parametrize(("disk", "place", "has_note"), [("here", HERE, False), ("there", HERE_EMPTY, True)])
async def test_the_next_run_of_a_thread_gets_a_note_only_when_its_files_are_not_here(
    disk: str, place: WorkspacePlace, has_note: bool
) -> None:
    scene = Scene([says("done")], run_id="r2", messages=[*WORK, DONE], state=state(disk), place=place)
    await scene.play()
    assert [ELSEWHERE in note for note in notes(scene)] == [True] * has_note
    assert scene.log.kinds()[0] == ("user_message", "complete")
    assert ("status_sandbox_info" in [kind for kind, _ in scene.log.kinds()]) is has_note


async def test_a_final_answer_is_not_asked_for_again_because_of_a_note() -> None:
    final = ChatMessage(role=Role.ASSISTANT, content="All done.", run_id="r1")
    scene = Scene([], messages=[*WORK, DONE, final], state=state("there"), attempts=2, place=HERE_EMPTY)
    await scene.play()
    assert scene.model.requests == []
    assert notes(scene) == []


async def test_a_thread_that_never_used_a_sandbox_gets_no_note() -> None:
    scene = Scene([says("done")], run_id="r2", messages=WORK[:1], place=HERE_EMPTY)
    await scene.play()
    assert notes(scene) == []


@pytest.mark.parametrize(("place", "text"), [(HERE, AS_THEY_WERE), (WorkspacePlace("there", False), ELSEWHERE)])
async def test_a_note_after_a_takeover_in_a_call_follows_the_calls_result(place: WorkspacePlace, text: str) -> None:
    begun = CallInFlight(call_id="b", uuid="u", began_at=NOW)
    scene = Scene([says("done")], messages=WORK, state=state("here", in_flight=[begun]), attempts=2, place=place)
    await scene.play()
    sent = scene.model.requests[0].messages
    assert [message.role for message in sent[-2:]] == [Role.TOOL, Role.USER]
    assert sent[-2].text().startswith(UNKNOWN)
    assert text in sent[-1].text()


async def test_the_disk_is_written_with_the_first_use_of_a_sandbox_and_not_before() -> None:
    scene = Scene([PLAN, calls(("ls", {"path": "."})), says("done")], place=HERE_EMPTY)
    await scene.play()
    disks = [commit.state.workspace_disk for commit in scene.log.commits if commit.state is not None]
    assert disks[0] == ""
    assert disks[-1] == "here"
    assert notes(scene) == []


async def test_without_a_use_of_the_sandbox_the_files_stay_where_they_were() -> None:
    scene = Scene([says("done")], run_id="r2", messages=[*WORK, DONE], state=state("there"), place=HERE_EMPTY)
    await scene.play()
    assert scene.journal.state.workspace_disk == "there"


async def test_a_note_that_was_not_written_is_written_by_the_next_attempt() -> None:
    arguments = {"ls": '{"path": "."}', "todo_read": "{}"}
    open_calls = tuple(ToolCall(call_id=name, name=name, arguments=text) for name, text in arguments.items())
    messages = (WORK[0], WORK[1].model_copy(update={"tool_calls": open_calls}))
    first = Scene([], messages=messages, state=state("there"), attempts=2, place=HERE_EMPTY)
    await first.journal.begin(messages[0], first.find_place, tools=first.registry)
    await first.journal.begin_calls(open_calls[:1])
    first.journal.note_workspace_use()
    assert of(first.log.commits).workspace_disk == "there", "a note that was not written is written later"
    again = Scene(
        [says("done")], messages=first.journal.messages, state=first.journal.state, attempts=3, place=HERE
    )  # fmt: skip
    await again.play()
    assert [ELSEWHERE in note for note in notes(again)] == [True]
    assert again.journal.state.workspace_disk == "here"
