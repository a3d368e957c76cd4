"""Reads the JSON of request bodies within our limits, instead of FastAPI's own reading."""

from collections.abc import Callable, Coroutine
from typing import Any, Final

from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from shared.contract.json_text import JsonTextError, read_json

_UNDECLARED: Final = "The body is not declared as JSON. Send the header Content-Type: application/json."


class JsonRequest(Request):
    """A request whose JSON can be read back once it is stored."""

    async def body(self) -> bytes:
        """Return the body; raises HTTPException 422 for one that is not declared as JSON.

        The form of a page of another origin can hold JSON, but cannot declare it.
        """
        body = await super().body()
        if body and not _is_json(self.headers.get("content-type", "")):
            raise HTTPException(422, _UNDECLARED)
        return body

    async def json(self) -> Any:
        """Return the body's value; raises HTTPException 422, JsonSyntaxError."""
        try:
            return read_json(await self.body())
        except JsonTextError as error:
            raise HTTPException(422, f"The body cannot be taken: {error}.") from error


class JsonRoute(APIRoute):
    """A route whose requests are JsonRequests."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """Return what answers a request."""
        answer = super().get_route_handler()

        async def read_and_answer(request: Request) -> Response:
            return await answer(JsonRequest(request.scope, request.receive))

        return read_and_answer


def _is_json(content_type: str) -> bool:
    kind = content_type.partition(";")[0].strip().lower()
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))
