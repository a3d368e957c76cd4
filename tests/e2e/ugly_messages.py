"""Unreadable messages of a queue's list, each with a word of its reason."""

import base64
import json
import zlib
from typing import Any, Final

LEGACY: Final = "main.process_flow_data"
FLOW: Final = '{"flow_uuid": "f", "flow_input_uuid": "i", "context_data": [{"content": "hello"}]}'


def encoded(body: Any) -> str:
    """Return a body as it is in an envelope."""
    return base64.b64encode(json.dumps(body).encode()).decode()


def envelope(body: Any = None, *, headers: Any = None, properties: Any = None, **members: Any) -> str:
    """Return a complete message with some members changed; None leaves one out."""
    message = {
        "body": body if isinstance(body, str) else encoded(body or [[FLOW], {}, {}]),
        "content-encoding": "utf-8",
        "content-type": "application/json",
        "headers": {"lang": "js", "task": LEGACY, "id": "id-1", "retries": 0, "timelimit": [None, None]},
        "properties": {
            "correlation_id": "id-1",
            "delivery_mode": 2,
            "delivery_info": {"exchange": "", "routing_key": "celery"},
            "priority": 0,
            "body_encoding": "base64",
            "delivery_tag": "tag-1",
        },
    }
    for name, changes in (("headers", headers), ("properties", properties)):
        merged = {**message[name], **changes} if isinstance(changes, dict) else changes  # type: ignore[dict-item]  # a dict
        message[name] = message[name] if changes is None else merged
    message.update({name.replace("_", "-"): value for name, value in members.items()})
    return json.dumps(without_none(message))


def without_none(value: Any) -> Any:
    """Leave out what is None; "null" as a text stands for a null that is meant."""
    if isinstance(value, dict):
        return {name: without_none(item) for name, item in value.items() if item is not None}
    return None if value == "null" else value


def flow(**members: Any) -> str:
    """Return an envelope whose one argument is a legacy text with these members."""
    return envelope([[json.dumps({**json.loads(FLOW), **members})], {}, {}])


def packed(body: bytes) -> str:
    """Return an envelope with a compressed body."""
    text = base64.b64encode(zlib.compress(body)).decode()
    return envelope(text, headers={"compression": "application/x-gzip"})


DEEP: Final = "[" * 100_000 + "]" * 100_000

# Ids of the cases; text; a part of the reason.
UGLY: Final[dict[str, tuple[str | bytes, str]]] = {
    "no JSON": ("garbage", "no JSON"),
    "empty": ("", "no JSON"),
    "not UTF-8": (b'{"body": "\xff\xfe"}', "no JSON"),
    "NaN": (envelope().replace('"priority": 0', '"priority": NaN'), "no JSON"),
    "a number": ("17", "no object"),
    "a list": ("[]", "no object"),
    "an empty object": ("{}", "properties"),
    "100,000 deep": (DEEP, "JSON"),
    "300 deep in a header": (envelope(headers={"x": json.loads("[" * 300 + "]" * 300)}), "deep"),
    "properties are no object": (envelope(properties="text"), "properties"),
    "no delivery tag": (envelope(properties={"delivery_tag": "null"}), "delivery_tag"),
    "a number as delivery tag": (envelope(properties={"delivery_tag": 7}), "delivery_tag"),
    "half a character as delivery tag": (envelope(properties={"delivery_tag": "\ud800"}), "no JSON"),
    "no delivery info": (envelope(properties={"delivery_info": "null"}), "delivery_info"),
    "delivery info without an exchange": (envelope(properties={"delivery_info": {"routing_key": "a"}}), "exchange"),
    "a list as exchange": (envelope(properties={"delivery_info": {"exchange": [], "routing_key": "a"}}), "exchange"),
    "unknown body encoding": (envelope(properties={"body_encoding": "rot13"}), "body_encoding"),
    "bad base64": (envelope("a"), "base64"),
    "no body": (envelope("null"), "body"),
    "a number as body": (json.dumps({**json.loads(envelope()), "body": 5}), "body"),
    "headers are a list": (envelope(headers=[1]), "headers"),
    "headers are a text": (envelope(headers="text"), "headers"),
    "pickle": (envelope(content_type="application/x-python-serialize"), "content-type"),
    "unknown content type": (envelope(content_type="text/fancy"), "content-type"),
    "unknown character set": (envelope(content_encoding="klingon"), "content-encoding"),
    "declared as compressed": (envelope(headers={"compression": "application/x-gzip"}), "decompressed"),
    "compressed in another way": (envelope(headers={"compression": "application/x-bz2"}), "compression"),
    "a list as compression": (envelope(headers={"compression": ["gzip"]}), "compression"),
    "small, and large once decompressed": (packed(b" " * 200_000_000), "decompressed"),
    "body is no JSON": (envelope(base64.b64encode(b"{no").decode()), "body"),
    "body is not UTF-8": (envelope(base64.b64encode(b'["\xff"]').decode()), "body"),
    "body 100,000 deep": (envelope(base64.b64encode(DEEP.encode()).decode()), "body"),
    "body is a JSON text": (envelope(json.loads(envelope(FLOW)) and encoded(FLOW)), "[args, kwargs, embed]"),
    "body is a number": (envelope(5), "[args, kwargs, embed]"),
    "body of two": (envelope([[FLOW], {}]), "[args, kwargs, embed]"),
    "args are an object": (envelope([{"a": 1}, {}, {}]), "args"),
    "kwargs are a list": (envelope([[FLOW], [], {}]), "kwargs"),
    "embed is a text": (envelope([[FLOW], {}, "x"]), "embed"),
    "callbacks are a number": (envelope([[FLOW], {}, {"callbacks": 5}]), "callbacks"),
    "no argument": (envelope([[], {}, {}]), "argument"),
    "two arguments": (envelope([[FLOW, FLOW], {}, {}]), "argument"),
    "an unknown argument": (envelope([[FLOW], {"more": "x"}, {}]), "argument"),
    "a number as argument": (envelope([[7], {}, {}]), "text"),
    "a typed object as argument": (envelope([[{"__type__": "decimal", "__value__": "x"}], {}, {}]), "text"),
    "an unknown task": (envelope(headers={"task": "os.system"}), "os.system"),
    "a number as task": (envelope(headers={"task": 5}), "task"),
    "a list as task": (envelope(headers={"task": []}), "task"),
    "no task": (envelope(headers={"task": "null"}), "task"),
    "no id": (json.dumps({**json.loads(envelope()), "headers": {"task": LEGACY}}), "id"),
    "a list as id": (envelope(headers={"id": []}), "id"),
    "eta is no time": (envelope(headers={"eta": "tomorrow"}), "eta"),
    "eta in a thousand years": (envelope(headers={"eta": "3026-01-01T00:00:00+00:00"}), "eta"),
    "a number as eta": (envelope(headers={"eta": 5}), "eta"),
    "expires is no time": (envelope(headers={"expires": "soon"}), "expires"),
    "a number as expires": (envelope(headers={"expires": 1e300}), "expires"),
    "a number as run's ids": (envelope([[1, 2], {}, {}], headers={"task": "modem.execute_run"}), "text"),
    "one id of two": (envelope([["t"], {}, {}], headers={"task": "modem.execute_run"}), "argument"),
    "a run's id of 40,000": (envelope([["t", "x" * 40_000], {}, {}], headers={"task": "modem.execute_run"}), "run_id"),
    "legacy text is no JSON": (envelope([["{no json"], {}, {}]), "JSON"),
    "legacy text is a list": (envelope([["[]"], {}, {}]), "object"),
    "legacy text 100,000 deep": (envelope([[DEEP], {}, {}]), "JSON"),
    "legacy text without ids": (envelope([["{}"], {}, {}]), "flow_uuid"),
    "an id with a colon": (flow(flow_uuid="a:b"), "flow_uuid"),
    "an id with braces": (flow(flow_uuid="a", flow_input_uuid="{b}"), "flow_input_uuid"),
    "an id with a line feed": (flow(flow_uuid="a\nERROR forged"), "flow_uuid"),
    "an id with a NUL": (flow(thread_id="a\0"), "thread_id"),
    "an id with a line separator": (flow(run_id="a\u2028b"), "run_id"),
    "an id of 4,000": (flow(flow_uuid="x" * 4_000), "flow_uuid"),
    "context nested 150 deep": (flow(context_data=[{"x": json.loads("[" * 150 + "]" * 150)}]), "deep"),
    "context of 300,000 items": (flow(context_data=[{}] * 300_000), "values"),
    "context of 2,000 items": (flow(context_data=[{}] * 2_000), "context_data"),
    "300,000 headers": (envelope(headers={str(number): 0 for number in range(300_000)}), "values"),
    "protocol 1 without an id": (envelope({"task": LEGACY, "args": [FLOW]}, headers={"task": "null"}), "id"),
}  # fmt: skip
