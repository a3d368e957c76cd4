"""url_expose: the address at which a server of the sandbox can be reached."""

from pydantic import Field

from shared.contract.event import ExecuteType
from workflow.tool.base import Effect, Parameters, Tool, ToolContext, ToolResult
from workflow.tool.workspace import file_errors


class UrlExposeParameters(Parameters):
    """Which server."""

    port: int = Field(ge=1, le=65_535, description="The port that the server listens on")
    app_folder: str | None = Field(None, description="Folder of the app; the workspace if left out")


class UrlExposeTool(Tool[UrlExposeParameters]):
    """Asks the sandbox for an address; fails where nothing listens on the port."""

    name = "url_expose"
    description = (
        "Get the address at which the user can open a server that runs in the sandbox. Start the server first, with"
        " bash and is_long_running."
    )
    parameters = UrlExposeParameters
    effect = Effect(read_only=False, idempotent=True, destructive=False, open_world=True)
    keeps_processes = True

    async def run(self, params: UrlExposeParameters, context: ToolContext) -> ToolResult:
        """Return the address."""
        sandbox = await context.sandbox()
        folder = params.app_folder or "."
        with file_errors(folder):
            app_path = await sandbox.display_path(folder)
        with file_errors(f"Port {params.port}"):
            info = await sandbox.expose(params.port, app_path)
        return ToolResult(
            text=f"The server on port {params.port} can be reached at {info.sandbox_url}",
            result={"status_sandbox_info": info.model_dump(mode="json")},
            execute_type=ExecuteType.STATUS_SANDBOX_INFO,
        )
