"""file_read: what of a file is shown, and how."""

import pytest

from tests.fakes.fake_sandbox import FakeSandbox
from tests.fakes.fake_tool_context import FakeToolContext, member
from workflow.errors import ToolError
from workflow.tool.file_read import MAX_LINE_CHARS, FileReadTool


async def read(content: bytes | str, max_output_chars: int = 100_000, **arguments: int) -> str:
    context = FakeToolContext(FakeSandbox({"a.txt": content}), max_output_chars=max_output_chars)
    result = await context.call(FileReadTool(), file_path="a.txt", **arguments)
    assert member(result, "tool_file_read_result") == {"file_path": "a.txt", "content": result.text}
    return result.text


async def test_lines_are_numbered_as_cat_does() -> None:
    assert await read("one\ntwo\n") == "     1\tone\n     2\ttwo"


async def test_range_says_how_many_lines_are_left() -> None:
    text = await read("".join(f"line {n}\n" for n in range(1, 11)), offset=3, limit=2)
    assert text == "     3\tline 3\n     4\tline 4\n[6 more lines; go on with offset 5]"


async def test_last_range_says_nothing_more() -> None:
    assert await read("a\nb\nc", offset=3) == "     3\tc"


async def test_long_lines_are_cut_with_a_note() -> None:
    text = await read("x" * 5000)
    assert text == f"     1\t{'x' * MAX_LINE_CHARS} [line cut, 5000 characters]"


async def test_output_limit_ends_the_page_at_a_whole_line() -> None:
    text = await read("123456789\n" * 1000, max_output_chars=1000)
    assert len(text) <= 1000
    shown = text.count("123456789")
    assert text.endswith(f"[{1000 - shown} more lines; go on with offset {shown + 1}]")


async def test_crlf_and_byte_order_mark_are_not_shown() -> None:
    assert await read(b"\xef\xbb\xbfa\r\nb\r\n") == "     1\ta\n     2\tb"


async def test_form_feed_is_no_line_end() -> None:
    assert await read("a\x0cb\nc") == "     1\ta\x0cb\n     2\tc"


async def test_empty_file_is_said_to_be_empty() -> None:
    assert await read("") == "a.txt is empty."


async def test_binary_file_is_refused_with_its_size() -> None:
    with pytest.raises(ToolError, match=r"a\.txt is a binary file \(6 bytes\)"):
        await read(b"\x7fELF\0\1")


async def test_offset_beyond_the_end_says_how_many_lines_there_are() -> None:
    with pytest.raises(ToolError, match="has 2 lines; there is none at offset 3"):
        await read("a\nb\n", offset=3)


async def test_lines_far_into_a_large_file_can_be_read() -> None:
    text = await read("a\n" * 20_000_000 + "the end\n", offset=20_000_001)
    assert text == "20000001\tthe end"


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("no.txt", "does not exist"),
        ("src", "is a folder"),
        ("../x", "outside the workspace"),
        ("/etc/passwd", "outside"),
    ],
)
async def test_unreadable_path_is_explained(path: str, words: str) -> None:
    context = FakeToolContext(FakeSandbox({"src/a.txt": "a"}))
    with pytest.raises(ToolError, match=words):
        await context.call(FileReadTool(), file_path=path)
