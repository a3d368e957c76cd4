"""The base of every model that crosses a process border."""

from pydantic import BaseModel, ConfigDict


class Contract(BaseModel):
    """Frozen; unknown fields are ignored on reading, so that two versions can run side by side."""

    model_config = ConfigDict(frozen=True, extra="ignore")
