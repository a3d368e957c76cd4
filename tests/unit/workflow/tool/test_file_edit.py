"""file_edit: exact replacement, refused where it is not exact."""

import pytest

from tests.fakes.fake_sandbox import FakeSandbox
from tests.fakes.fake_tool_context import FakeToolContext, member
from workflow.errors import ToolError
from workflow.tool.file_edit import FileEditTool


async def edit(content: bytes | str, old: str, new: str) -> tuple[bytes, str]:
    sandbox = FakeSandbox({"a.py": content})
    result = await FakeToolContext(sandbox).call(FileEditTool(), path="a.py", old_str=old, new_str=new)
    assert member(result, "tool_file_edit_result") == {"path": "a.py", "old_str": old, "new_str": new}
    return sandbox.files["a.py"], result.text


async def test_only_place_is_replaced_and_shown_with_its_surroundings() -> None:
    content, text = await edit("".join(f"l{n}\n" for n in range(1, 10)), "l5", "five\nand a half")
    assert content == b"l1\nl2\nl3\nl4\nfive\nand a half\nl6\nl7\nl8\nl9\n"
    assert text.splitlines()[1:] == [
        *("     2\tl2", "     3\tl3", "     4\tl4", "     5\tfive"),
        *("     6\tand a half", "     7\tl6", "     8\tl7", "     9\tl8"),
    ]


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("zzz", "y", r"0 times.*Read the file"),
        ("x", "y", "occurs 2 times"),
        ("once", "once", "are the same"),
        ("", "y", "is empty"),
    ],
    ids=["missing", "ambiguous", "no change", "empty"],
)
async def test_inexact_edit_is_refused_and_the_file_kept(old: str, new: str, words: str) -> None:
    sandbox = FakeSandbox({"a.py": "x x once"})
    with pytest.raises(ToolError, match=words):
        await FakeToolContext(sandbox).call(FileEditTool(), path="a.py", old_str=old, new_str=new)
    assert sandbox.text("a.py") == "x x once"


async def test_crlf_file_keeps_its_line_ends() -> None:
    content, text = await edit(b"a\r\nb\r\nc\r\n", "a\nb", "a\nnew\nb")
    assert content == b"a\r\nnew\r\nb\r\nc\r\n"
    assert "\r" not in text


async def test_mixed_line_ends_are_taken_literally() -> None:
    with pytest.raises(ToolError, match="mixes CRLF and LF"):
        await edit(b"a\r\nb\nc\n", "a\nb", "x")
    content, _ = await edit(b"a\r\nb\nc\n", "b\nc", "x")
    assert content == b"a\r\nx\n"


@pytest.mark.parametrize(
    ("content", "words"), [(b"\0abc", "binary"), ("é".encode("latin-1") + b"abc", "not UTF-8")], ids=["binary", "latin"]
)
async def test_file_that_is_no_utf8_text_is_refused(content: bytes, words: str) -> None:
    with pytest.raises(ToolError, match=words):
        await edit(content, "abc", "x")


@pytest.mark.parametrize(("path", "words"), [("no.py", "does not exist"), ("../a.py", "outside the workspace")])
async def test_path_that_cannot_be_edited_is_explained(path: str, words: str) -> None:
    with pytest.raises(ToolError, match=words):
        await FakeToolContext().call(FileEditTool(), path=path, old_str="a", new_str="b")
