"""Imports what LiteLLM would import with its first call, which holds the event loop up for a second."""

import importlib
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

# The dear ones of the 500 modules; what is left takes some 20 ms.
LATE_MODULES: Final = (
    "openai.resources.chat",
    "litellm.proxy._types",
    "litellm.litellm_core_utils.default_encoding",
    "litellm._service_logger",
)


def import_late_modules(names: Sequence[str] = LATE_MODULES) -> None:
    """Import them, in any thread but the event loop's; one that is no longer there costs the first call its time."""
    for name in names:
        with suppress(ImportError):
            importlib.import_module(name)
