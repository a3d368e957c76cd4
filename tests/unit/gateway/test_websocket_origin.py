"""Pages of other sites open a WebSocket only if their origin is allowed."""

import pytest
from starlette.datastructures import Headers

from gateway.controller.websocket_origin import check_origin
from shared.errors import ForeignOriginError


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        (None, ()),
        ("http://baud.example:8000", ()),
        ("https://BAUD.example:8000", ()),
        ("https://other.example", ("https://other.example",)),
        ("null", ("*",)),
    ],
    ids=["no page", "own", "own behind TLS", "allowed", "any"],
)
def test_it_lets_pass(origin: str | None, allowed: tuple[str, ...]) -> None:
    headers = {"host": "baud.example:8000"} | ({"origin": origin} if origin else {})
    check_origin(Headers(headers), allowed)


@pytest.mark.parametrize(
    "origin",
    ["https://other.example", "http://baud.example", "http://baud.example:8000.evil.example", "null", "", "nonsense",
     "http://other.example@baud.example:8000"],
)  # fmt: skip
def test_it_refuses(origin: str) -> None:
    with pytest.raises(ForeignOriginError):
        check_origin(Headers({"host": "baud.example:8000", "origin": origin}), ("https://allowed.example",))


def test_an_empty_host_is_not_the_same_as_no_origin() -> None:
    with pytest.raises(ForeignOriginError):
        check_origin(Headers({"origin": "nonsense"}), ())
