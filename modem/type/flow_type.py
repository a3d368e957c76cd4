"""The legacy message: what outside producers publish to `main.process_flow_data`."""

from typing import Any, Final

from pydantic import ConfigDict, Field, JsonValue, ValidationError, field_validator

from shared.broker.message import explain
from shared.contract.base import Contract
from shared.contract.json_text import JsonTextError, read_json
from shared.contract.run import ContextItem
from shared.errors import UnreadableMessageError
from shared.ids import is_id

_MAX_ITEMS: Final = 1000


class FlowContextItem(Contract):
    """One item of `context_data`; the first one's content is a text, or a list of text and image_url parts."""

    model_config = ConfigDict(frozen=True, extra="allow")

    type: str = "text"
    content: JsonValue = ""

    @field_validator("type", mode="before")
    @classmethod
    def _no_type_is_text(cls, value: Any) -> Any:
        return value if isinstance(value, str) else "text"

    @property
    def parts(self) -> list[dict[str, JsonValue]]:
        """The content as parts; anything else is left out."""
        if isinstance(self.content, str):
            return [{"type": "text", "text": self.content}]
        found = self.content if isinstance(self.content, list) else []
        return [part for part in found if isinstance(part, dict)]


class ProcessFlowDataRequest(Contract):
    """A run of a legacy producer: thread `flow_uuid`, run `flow_input_uuid`, task in the first context item.

    A message with valid ids is accepted even if its task cannot be read: its readers wait for an end.
    """

    model_config = ConfigDict(frozen=True, extra="ignore", coerce_numbers_to_str=True)

    flow_uuid: str = Field(min_length=1)
    flow_input_uuid: str = Field(min_length=1)
    user_uuid: str | None = None
    context_data: tuple[FlowContextItem, ...] = ()
    thread_id: str | None = None
    run_id: str | None = None

    @field_validator("flow_uuid", "flow_input_uuid")
    @classmethod
    def _not_blank(cls, value: str) -> str:
        if not value.strip():
            raise ValueError("must not be blank")
        return value

    @field_validator("thread_id", "run_id", mode="before")
    @classmethod
    def _empty_is_absent(cls, value: Any) -> Any:
        return value or None

    @field_validator("flow_uuid", "flow_input_uuid", "thread_id", "run_id")
    @classmethod
    def _is_id(cls, value: str | None) -> str | None:
        if value is not None and not is_id(value):
            raise ValueError("must have 1 to 128 characters, none of them ':', '{', '}' or a control character")
        return value

    @field_validator("context_data", mode="before")
    @classmethod
    def _only_objects(cls, value: Any) -> Any:
        if not isinstance(value, list):
            return ()
        if len(value) > _MAX_ITEMS:
            raise ValueError(f"must have at most {_MAX_ITEMS} items")
        return tuple(item for item in value if isinstance(item, dict))

    @property
    def task(self) -> str:
        """The task: the text of the first item, its text parts joined; empty when there is none."""
        if not self.context_data:
            return ""
        texts = [str(part["text"]) for part in self.context_data[0].parts if part.get("text") and _is(part, "text")]
        return "\n".join(texts).strip()

    def further_context(self) -> tuple[ContextItem, ...]:
        """Return everything but the task: images of the first item, then the other items."""
        parts = self.context_data[0].parts if self.context_data else []
        images = tuple(
            ContextItem(type="image_url", content=part.get("image_url")) for part in parts if _is(part, "image_url")
        )
        return images + tuple(ContextItem.model_validate(item.model_dump()) for item in self.context_data[1:])


def read_flow(json_text: str) -> ProcessFlowDataRequest:
    """Read a legacy message. Raises UnreadableMessageError, whose message is the reason."""
    try:
        value = read_json(json_text)
        if not isinstance(value, dict):
            raise UnreadableMessageError("json_text is no JSON object")
        return ProcessFlowDataRequest.model_validate(value)
    except ValidationError as error:
        raise UnreadableMessageError(f"json_text: {explain(error)}") from error
    except JsonTextError as error:
        raise UnreadableMessageError(f"json_text: {error}") from error
    except ValueError as error:
        raise UnreadableMessageError(f"json_text is no JSON: {error}") from error


def _is(part: dict[str, JsonValue], kind: str) -> bool:
    return part.get("type") == kind
