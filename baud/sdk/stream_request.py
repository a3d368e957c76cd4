"""Which events a reader wants, and how the gateway is asked for them."""

from collections.abc import Sequence
from dataclasses import dataclass

from baud.sdk.calls import stream_path
from baud.sdk.errors import BaudClientError


@dataclass(frozen=True, slots=True)
class StreamQuery:
    """The events of a thread, or of one run with `run_id`, after `last_id`.

    `until_completion` ends a thread's stream when no run is active, `stay_when_idle` reconnects when the gateway
    has closed it because it was idle, and `include_system` yields the gateway's own events too.
    """

    thread_id: str
    run_id: str | None = None
    last_id: str | None = None
    types: Sequence[str] | None = None
    deltas: bool = True
    until_completion: bool = False
    stay_when_idle: bool = False
    include_system: bool = False

    def __post_init__(self) -> None:
        """Refuse unusable `types`."""
        if isinstance(self.types, str):
            raise BaudClientError(f"types is a list of event types, not a text; write types=[{self.types!r}]")
        for name in self.types or ():
            if not name.strip() or "," in name:
                raise BaudClientError(f"no event type can be called {name!r}; a type is not blank and has no comma")
        if self.types is not None and not self.types:
            raise BaudClientError("types is empty, so no event would match; leave it out to get every type")

    @property
    def path(self) -> str:
        """The path of the stream."""
        return stream_path(self.thread_id, self.run_id)

    @property
    def params(self) -> dict[str, str]:
        """The query of the stream; the last id is sent as a header."""
        params = {"types": ",".join(self.types)} if self.types else {}
        if not self.deltas:
            params["deltas"] = "false"
        if self.until_completion:
            params["until"] = "completion"
        return params
