"""use_template: begins a web app from one of the templates that come with the package."""

import asyncio
from importlib.resources.abc import Traversable
from typing import Any

from pydantic import Field

from shared.contract.result import UseTemplateResult
from workflow.errors import ToolError
from workflow.service.sandbox.base import Sandbox
from workflow.tool.base import Effect, Parameters, Tool, ToolContext, ToolResult
from workflow.tool.template_catalog import Template, read_template, template_files, template_folder, template_names
from workflow.tool.workspace import file_errors


def _name_templates(schema: dict[str, Any]) -> None:
    """Put the templates that exist into the schema; it is made long after this module is imported."""
    folder = template_folder()
    listed = "; ".join(f"{name}: {read_template(folder, name).description}" for name in template_names(folder))
    schema["description"] = f"The template. {listed}"


class UseTemplateParameters(Parameters):
    """Which template and the app's name."""

    web_framework: str = Field(description="The template", json_schema_extra=_name_templates)
    web_app_name: str = Field(
        pattern="^[a-z][a-z0-9-]{0,40}$",
        description="Name of the app and of its folder: small letters, digits and hyphens, a letter first",
    )


class UseTemplateTool(Tool[UseTemplateParameters]):
    """Copies a template into a folder of the app's name, which must be empty or missing."""

    name = "use_template"
    description = "Begin a web app from a template in a new folder of the workspace. The answer says how to start it."
    parameters = UseTemplateParameters
    effect = Effect(read_only=False, idempotent=False, destructive=False)
    uses_workspace = True

    async def run(self, params: UseTemplateParameters, context: ToolContext) -> ToolResult:
        """Return the files that were made and how to start the app."""
        framework, app_name = params.web_framework, params.web_app_name
        template, contents = await asyncio.to_thread(_read, template_folder(), framework, app_name)
        sandbox = await context.sandbox()
        await _require_free(sandbox, app_name)
        with file_errors(app_name):
            await sandbox.write_files({f"{app_name}/{path}": data for path, data in contents.items()})
        result = UseTemplateResult(web_framework=framework, web_app_name=app_name)
        return ToolResult(
            text=_text(template, app_name, list(contents)),
            result={"tool_use_template_result": result.model_dump(mode="json")},
        )


def _read(folder: Traversable, framework: str, app_name: str) -> tuple[Template, dict[str, bytes]]:
    names = template_names(folder)
    if framework not in names:
        raise ToolError(f"There is no template {framework}. Choose one of: {', '.join(names)}.")
    return read_template(folder, framework), template_files(folder, framework, app_name)


async def _require_free(sandbox: Sandbox, app_name: str) -> None:
    with file_errors(app_name):
        try:
            entries = await sandbox.list_files(app_name, recursive=False, limit=1)
        except FileNotFoundError:
            return
    if entries:
        raise ToolError(f"The folder {app_name} exists and is not empty. Choose another name; nothing was written.")


def _text(template: Template, app_name: str, paths: list[str]) -> str:
    listed = "\n".join(f"  {app_name}/{path}" for path in paths)
    install = f"First run in {app_name}: {template.install}\n" if template.install else ""
    return (
        f"Created from the template {template.name}:\n{listed}\n"
        f"{install}Start it in {app_name}, with is_long_running: {template.start_command}\n"
        f"It listens on port {template.port}; url_expose gives its address."
    )
