"""Which events a reader wants, and how the gateway is asked for them."""

from collections.abc import Sequence
from dataclasses import dataclass

from baud.sdk.calls import stream_path
from baud.sdk.errors import BaudClientError


@dataclass(frozen=True, slots=True)
class StreamRequest:
    """The events of a thread, or of one run with `run_id`, behind `last_id`.

    `until_completion` ends a thread's stream when no run is active, `stay_when_idle` keeps it when the gateway has
    closed it for want of events, and `include_system` gives the gateway's own events to the reader too.
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
        """Refuse what cannot be asked for."""
        if isinstance(self.types, str):
            raise BaudClientError(f"types is a list of event types, not a text; say types=[{self.types!r}]")
        for name in self.types or ():
            if not name.strip() or "," in name:
                raise BaudClientError(f"no event type can be called {name!r}; a type is not blank and has no comma")
        if self.types is not None and not self.types:
            raise BaudClientError("types is empty, so that nothing would come; leave it out to get every type")

    @property
    def path(self) -> str:
        """The path of the stream."""
        return stream_path(self.thread_id, self.run_id)

    @property
    def params(self) -> dict[str, str]:
        """The query of the stream; its position goes into a header."""
        params = {"types": ",".join(self.types)} if self.types else {}
        if not self.deltas:
            params["deltas"] = "false"
        if self.until_completion:
            params["until"] = "completion"
        return params
