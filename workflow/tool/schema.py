"""The JSON Schema of a tool for models, in the plain form that every provider accepts."""

from typing import Any

from pydantic import JsonValue

from shared.errors import ConfigurationError
from workflow.tool.base import Parameters

Schema = dict[str, Any]

_DEFINITION_PREFIX = "#/$defs/"


def plain_schema(parameters: type[Parameters]) -> dict[str, JsonValue]:
    """Return the schema without `$ref`, titles and null branches, which some providers refuse.

    Raises ConfigurationError for a recursive model, which has no finite plain form.
    """
    schema = parameters.model_json_schema()
    definitions = schema.pop("$defs", {})
    plain = _plain(schema, definitions, ())
    plain.pop("description", None)
    return plain


def _plain(node: Schema, definitions: Schema, inside: tuple[str, ...]) -> Schema:
    node = _without_null(node)
    if "$ref" in node:
        name = node["$ref"].removeprefix(_DEFINITION_PREFIX)
        if name in inside:
            raise ConfigurationError(f"The parameter model {name} contains itself; give it a finite depth.")
        node = {**definitions[name], **{key: value for key, value in node.items() if key != "$ref"}}
        return _plain(node, definitions, (*inside, name))
    return {key: _plain_member(key, value, definitions, inside) for key, value in node.items() if key != "title"}


def _plain_member(key: str, value: Any, definitions: Schema, inside: tuple[str, ...]) -> Any:
    if key == "properties":
        return {name: _plain(child, definitions, inside) for name, child in value.items()}
    if key in ("default", "enum", "const", "examples"):
        return value
    if isinstance(value, dict):
        return _plain(value, definitions, inside)
    if isinstance(value, list):
        return [_plain(item, definitions, inside) if isinstance(item, dict) else item for item in value]
    return value


def _without_null(node: Schema) -> Schema:
    """Keep the one real type of `X | None`; `required` tells whether the member may be missing."""
    branches = [branch for branch in node.get("anyOf", ()) if branch != {"type": "null"}]
    if len(branches) != 1:
        return node
    rest = {key: value for key, value in node.items() if key != "anyOf"}
    if rest.get("default", ...) is None:
        del rest["default"]
    return {**branches[0], **rest}
