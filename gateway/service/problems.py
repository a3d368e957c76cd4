"""Says in a sentence what is wrong with what a client sent."""

from collections.abc import Mapping, Sequence
from typing import Any


def explain_problems(problems: Sequence[Mapping[str, Any]], *, root: str = "") -> str:  # pydantic leaves them untyped
    """Return one sentence for each problem that a model found; `root` names what has no name of its own."""
    return "; ".join(_explain(problem, root) for problem in problems)


def _explain(problem: Mapping[str, Any], root: str) -> str:
    place: Sequence[str | int] = problem["loc"]
    if problem["type"] == "json_invalid":
        return f"the body is not valid JSON: {problem['ctx']['error']}"
    name = ".".join(str(part) for part in place) or root
    message = problem["msg"].removeprefix("Value error, ").removeprefix("Input ")
    return f"{name}: {message[:1].lower()}{message[1:]}"
