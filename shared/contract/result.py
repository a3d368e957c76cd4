"""The result members of the built-in tools: the values of `tool_{name}_result` in events."""

from pydantic import JsonValue

from shared.contract.base import Contract
from shared.contract.state import Todo


class UserMessageResult(Contract):
    """`user_message_result`: the task as it was posted."""

    task: str
    context_data: tuple[dict[str, JsonValue], ...] = ()


class AssistantDeltaResult(Contract):
    """`assistant_delta`: a piece of text; `kind` is content or reasoning."""

    text: str
    kind: str


class JobPlanResult(Contract):
    """`tool_job_plan_result`."""

    name: str
    plan: str


class BashResult(Contract):
    """`tool_bash_result`; `exit_code` is None while the command runs or when it was killed."""

    cmd: str
    cwd: str
    result: str
    exit_code: int | None = None
    truncated: bool = False


class FileReadResult(Contract):
    """`tool_file_read_result`."""

    file_path: str
    content: str


class FileEditResult(Contract):
    """`tool_file_edit_result`."""

    path: str
    old_str: str
    new_str: str


class TextEdit(Contract):
    """One edit of `tool_multi_edit_result`."""

    old_string: str
    new_string: str
    replace_all: bool = False


class MultiEditResult(Contract):
    """`tool_multi_edit_result`."""

    file_path: str
    edits: tuple[TextEdit, ...]


class CreatedFile(Contract):
    """One file of `tool_files_creation_result`."""

    file_path: str
    bytes: int


class FilesCreationResult(Contract):
    """`tool_files_creation_result`."""

    files: tuple[CreatedFile, ...]


class GlobResult(Contract):
    """`tool_glob_result`."""

    pattern: str
    path: str
    result: str


class GrepResult(Contract):
    """`tool_grep_result`."""

    pattern: str
    path: str
    result: str


class LsResult(Contract):
    """`tool_ls_result`."""

    path: str
    ignore: tuple[str, ...] = ()
    result: str


class TodosResult(Contract):
    """`tool_todo_read_result` and `tool_todo_write_result`."""

    todos: tuple[Todo, ...]


class UseTemplateResult(Contract):
    """`tool_use_template_result`."""

    web_framework: str
    web_app_name: str


class SearchHit(Contract):
    """One result of `tool_web_search_result`."""

    url: str
    title: str
    content: str


class WebSearchResult(Contract):
    """`tool_web_search_result`."""

    query: str
    results: tuple[SearchHit, ...]


class SandboxInfo(Contract):
    """`status_sandbox_info`: where an app of the sandbox can be reached."""

    sandbox_id: str
    sandbox_url: str
    app_path: str
