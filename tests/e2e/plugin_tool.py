"""A plug-in tool that blocks its worker, for a test to install into a worker's path."""

import os
from pathlib import Path
from typing import Final

_ROOT: Final = Path(__file__).parents[2]
# PyDLL keeps the interpreter's lock during the call, as an expression or an extension in C may.
_MODULE: Final = '''
import ctypes
import os

from workflow.tool.base import Effect, Parameters, Tool, ToolContext, ToolResult


class HoldTool(Tool[Parameters]):
    """Holds the interpreter's lock."""

    name = "hold"
    description = "Holds the interpreter's lock for an hour."
    parameters = Parameters
    effect = Effect(read_only=False, idempotent=True, destructive=False)

    async def run(self, params: Parameters, context: ToolContext) -> ToolResult:
        with open(os.environ["HOLD_LOG"], "a") as log:
            log.write(f"{os.getpid()}\\n")
        ctypes.PyDLL(None).sleep(3600)
        return ToolResult("never")
'''


def settings_with_plugin(folder: Path) -> dict[str, str]:
    """Install the tool `hold` into a folder; return the settings of a worker that finds it."""
    info = folder / "hold-1.0.dist-info"
    info.mkdir(parents=True)
    (folder / "hold_tool.py").write_text(_MODULE)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: hold\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[baud.tools]\nhold = hold_tool:HoldTool\n")
    return {"PYTHONPATH": os.pathsep.join((str(_ROOT), str(folder))), "HOLD_LOG": str(folder / "held.log")}
