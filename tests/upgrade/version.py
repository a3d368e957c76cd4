"""One of the two versions that share a Redis: its code, its environment, and how its programs are started."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.chaos.stack import SETTINGS
from tests.e2e.service_process import service_environment
from tests.other_commit import Checkout

MODEL_MODULE: Final = "scripted_by_both_versions"
SETTINGS_OF_BOTH: Final = {
    **SETTINGS,
    "BAUD_LLM__MODEL": f"python:{MODEL_MODULE}:make_model",
    # The tool that a script with Pause.APPROVAL calls.
    "BAUD_TOOLS__FILE_EDIT__APPROVAL": "always",
}


@dataclass(frozen=True, slots=True)
class Version:
    """A version under test; `label` says which in the table: old or new."""

    label: str
    checkout: Checkout

    @property
    def sdk(self) -> str:
        """The module that its users import."""
        return "client.sdk" if (self.checkout.folder / "client").is_dir() else "baud"

    def command(self, *arguments: str) -> tuple[str, ...]:
        """Return the command that runs a module with this version's code, e.g. ("-m", "modem")."""
        return (self.checkout.python, "-P", *arguments)

    def environment(self, folder: Path, redis_url: str, further: Mapping[str, str]) -> Mapping[str, str]:
        """Return the environment of its programs; in `folder` are their data and the model of both versions."""
        settings = {**SETTINGS_OF_BOTH, **further, "REDIS_URL": redis_url, "BAUD_DATA_DIR": str(folder / "data")}
        path = os.pathsep.join((str(self.checkout.folder), str(folder / "model")))
        return {**service_environment(settings), "PYTHONPATH": path}
