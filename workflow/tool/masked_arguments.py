"""Refuses calls that would write the mask of a secret into files or commands."""

from typing import Any, Final

import orjson

from shared.contract.secret import MASKED
from workflow.tool.base import Tool

REFUSED: Final = (
    f'Not carried out: the arguments of {{name}} hold "{MASKED}", which stands for a secret that is not shown to you.'
    " It is not the value. Have the command read the value itself, from its environment variable or file, and leave"
    " the line that holds it as it is."
)


def hold_mask(tool: Tool[Any], arguments: str) -> bool:
    """Return whether a call would put the mask where the secret itself belongs."""
    if tool.takes_mask:
        return False
    return MASKED in arguments or ("\\u" in arguments and MASKED in _unescaped(arguments))


def _unescaped(arguments: str) -> str:
    try:
        return orjson.dumps(orjson.loads(arguments)).decode()
    except ValueError:
        return ""
