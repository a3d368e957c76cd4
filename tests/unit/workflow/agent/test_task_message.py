"""The user message of a run: task, context items, images, and the thread's context the first time."""

from pydantic import JsonValue

from shared.contract.message import ChatMessage, ContentPart, Role
from shared.contract.run import ContextItem
from tests.fakes.scripted_model import says
from tests.unit.workflow.runner.scene import PLAN, Scene


async def test_a_second_run_goes_on_with_the_conversation_and_plans_anew() -> None:
    first = Scene([PLAN, says("It is tea.")], thread_context={"cup": "blue"})
    await first.play()
    second = Scene(
        [says("Still tea.")],
        run_id="r2",
        task="what is it?",
        thread_context={"cup": "blue"},
        messages=first.log.messages,
        state=first.journal.state,
    )
    await second.play()
    (request,) = second.model.requests
    assert {spec.name for spec in request.tools} == {"job_plan", "ask_user"}
    texts = [message.text() for message in request.messages]
    assert texts[0] == '<context>\n{"cup":"blue"}\n</context>\n\nmake tea'
    assert texts[-2:] == ["It is tea.", "what is it?"]
    assert second.log.commits[0].state is not None
    assert second.log.commits[0].state.plan is not None, "the last plan is kept for the planner to see"
    assert '"tea"' in request.system
    assert {message.run_id for message in second.log.messages} == {"r2"}


async def test_a_second_attempt_of_a_run_writes_its_task_only_once() -> None:
    first = Scene([says("cut")])
    await first.journal.begin(first.task_message(), tools=first.registry)
    again = Scene([says("done")], messages=first.log.messages, state=first.journal.state)
    await again.play()
    assert ("user_message", "complete") not in again.log.kinds()
    assert [message.text() for message in again.model.requests[0].messages] == ["make tea"]


def test_context_items_stand_before_the_task_under_their_type() -> None:
    items = (
        ContextItem(type="file", content="line"),
        ContextItem.model_validate({"type": "selection", "content": "x", "from": 3}),
        ContextItem(type="data", content={"n": 2**70}),
    )
    message = Scene([], context_data=items).task_message()
    assert message == ChatMessage(
        role=Role.USER,
        content="<file>\nline\n</file>\n\n"
        '<selection>\n{"content":"x","from":3}\n</selection>\n\n'
        f'<data>\n{{"content":{{"n":{2**70}}}}}\n</data>\n\n'
        "make tea",
    )


def test_images_become_parts_of_the_message() -> None:
    items = (
        ContextItem(type="image_url", content="https://a.example/1.png"),
        ContextItem(type="image_url", content={"url": "data:image/png;base64,AA", "detail": "low"}),
        ContextItem.model_validate({"type": "image_url", "image_url": {"url": "https://a.example/3.png"}}),
    )
    message = Scene([], context_data=items).task_message()
    assert message.content == (
        ContentPart(type="text", text="make tea"),
        ContentPart(type="image_url", image_url={"url": "https://a.example/1.png"}),
        ContentPart(type="image_url", image_url={"url": "data:image/png;base64,AA", "detail": "low"}),
        ContentPart(type="image_url", image_url={"url": "https://a.example/3.png"}),
    )


def test_an_image_without_an_address_becomes_text() -> None:
    nonsense: list[JsonValue] = [None, 7, {}, {"url": 5}, [], ""]
    items = tuple(ContextItem(type="image_url", content=each) for each in nonsense)
    message = Scene([], context_data=items).task_message()
    assert isinstance(message.content, str), "a provider would refuse the conversation from then on"
    assert message.content.endswith("make tea")
