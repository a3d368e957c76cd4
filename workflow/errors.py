"""What can go wrong inside the engine; the Runner turns each into one stop reason.

WorkflowError
├── ModelError
│   ├── TransientModelError
│   ├── PermanentModelError
│   └── ContextOverflowError
├── SandboxError
│   ├── SandboxUnavailableError
│   ├── PathOutsideWorkspaceError
│   └── EditRefusedError
└── ToolError
"""

from shared.errors import BaudError


class WorkflowError(BaudError):
    """The engine could not go on."""

    code = "workflow_error"


class ModelError(WorkflowError):
    """The model's provider failed."""

    code = "llm_error"


class TransientModelError(ModelError):
    """The provider failed in a way that may pass: overload, rate limit, network."""

    code = "llm_unavailable"

    def __init__(self, message: str | None = None, *, retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class PermanentModelError(ModelError):
    """The provider refused the request for good: key, model name, request."""

    code = "llm_refused_request"


class ContextOverflowError(PermanentModelError):
    """The conversation is longer than the model can read."""

    code = "llm_context_overflow"


class SandboxError(WorkflowError):
    """The sandbox failed."""

    code = "sandbox_error"


class SandboxUnavailableError(SandboxError):
    """No sandbox can be had under this configuration."""

    code = "sandbox_unavailable"


class PathOutsideWorkspaceError(SandboxError):
    """The path lies outside the workspace."""

    code = "path_outside_workspace"


class EditRefusedError(SandboxError):
    """The edit cannot be made; `number` says which of several, from 1."""

    code = "edit_refused"

    def __init__(self, message: str | None = None, *, number: int = 1) -> None:
        super().__init__(message)
        self.number = number


class ToolError(WorkflowError):
    """A tool call failed; the message is what the model reads."""

    code = "tool_error"
