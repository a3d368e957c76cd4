"""Messages and tools in OpenAI's format."""

from shared.contract.message import ChatMessage, ContentPart, Role, ToolCall
from workflow.llm.model import ModelRequest, ToolSpec
from workflow.llm.openai_format import to_openai_messages, to_openai_tools


def test_a_call_and_its_result_keep_their_id() -> None:
    call = ToolCall(call_id="c1", name="ls", arguments='{"path": "."}')
    request = ModelRequest(
        "Be brief.",
        (
            ChatMessage(role=Role.USER, content="go", run_id="r", created_at="now"),
            ChatMessage(role=Role.ASSISTANT, tool_calls=(call,)),
            ChatMessage(role=Role.TOOL, content="a.txt", tool_call_id="c1"),
        ),
    )
    function = {"name": "ls", "arguments": '{"path": "."}'}
    assert to_openai_messages(request) == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "go"},
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c1", "type": "function", "function": function}],
        },
        {"role": "tool", "content": "a.txt", "tool_call_id": "c1"},
    ]


def test_parts_of_a_user_message_are_passed_on() -> None:
    parts = (
        ContentPart(type="text", text="What is this?"),
        ContentPart(type="image_url", image_url={"url": "https://example.org/a.png"}),
    )
    (message,) = to_openai_messages(ModelRequest("", (ChatMessage(role=Role.USER, content=parts),)))
    assert message["content"] == [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}},
    ]


def test_a_tool_becomes_a_function() -> None:
    (tool,) = to_openai_tools((ToolSpec("ls", "List.", {"type": "object"}),))
    assert tool == {
        "type": "function",
        "function": {"name": "ls", "description": "List.", "parameters": {"type": "object"}},
    }
