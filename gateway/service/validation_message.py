"""Words the validation errors of a request as one sentence for the client."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

_MAX_PROBLEMS: Final = 5
_MAX_NAME_CHARS: Final = 100
_MAX_MESSAGE_CHARS: Final = 300


def validation_message(problems: Sequence[Mapping[str, Any]], *, root: str = "") -> str:  # pydantic leaves them untyped
    """Return a phrase for each of the first problems that a model found; `root` names a value without a field name."""
    messages = [_explain(problem, root) for problem in problems[:_MAX_PROBLEMS]]
    left = len(problems) - len(messages)
    return "; ".join([*messages, f"and {left} more"] if left else messages)


def _explain(problem: Mapping[str, Any], root: str) -> str:
    place: Sequence[str | int] = problem["loc"]
    if problem["type"] == "json_invalid":
        return f"the body is not valid JSON: {problem['ctx']['error']}"
    name = _cut(".".join(_cut(str(part), _MAX_NAME_CHARS) for part in place[:10]) or root, _MAX_NAME_CHARS)
    message = _cut(problem["msg"].removeprefix("Value error, ").removeprefix("Input "), _MAX_MESSAGE_CHARS)
    return f"{name}: {message[:1].lower()}{message[1:]}"


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 3]}..."
