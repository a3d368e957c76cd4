"""Where sandboxes and models come from, by the name that the configuration gives: Baud's own, and installed ones."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint
from types import MappingProxyType
from typing import Any, Final

from shared.entry_points import LOADING_FAILURES, installed, origin
from shared.errors import ConfigurationError


@dataclass(frozen=True, slots=True)
class Providers:
    """One kind of provider: `own` maps names to `package.module:callable`, the entry points of `group` add others.

    What is called has to return an object with these `methods`.
    """

    setting: str
    group: str
    methods: Sequence[str]
    own: Mapping[str, str]

    def names(self) -> tuple[str, ...]:
        """Return the names of all that can be chosen; nothing is imported."""
        return tuple(sorted({*self.own, *(point.name for point in installed(self.group))}))

    def has(self, name: str) -> bool:
        """Whether a name can be chosen."""
        return name in self.own or name in self.names()

    def make(self, name: str, *arguments: object, **named: object) -> Any:
        """Import what a name stands for, and call it with these arguments.

        Raises ConfigurationError that names the distribution and what is wrong.
        """
        point = self._find(name)
        try:
            provider = point.load()(*arguments, **named)
        except LOADING_FAILURES as error:
            raise self._broken(point, f"cannot be loaded: {type(error).__name__}: {error}") from error
        for method in self.methods:
            if not callable(getattr(provider, method, None)):
                raise self._broken(point, f"makes {type(provider).__name__}, which has no method {method}")
        return provider

    def _find(self, name: str) -> EntryPoint:
        if name in self.own:
            return EntryPoint(name, self.own[name], self.group)
        found = [point for point in installed(self.group) if point.name == name]
        if not found:
            raise ConfigurationError(f"{self.setting} is {name!r}; it can be: {', '.join(self.names())}.")
        if len(found) > 1:
            raise ConfigurationError(f"{self.setting}: {' and '.join(map(origin, found))} bring {name}. Remove one.")
        return found[0]

    def _broken(self, point: EntryPoint, what: str) -> ConfigurationError:
        return ConfigurationError(f"{self.setting}: {point.name} of {origin(point)} {what}.")


SANDBOXES: Final = Providers(
    setting="sandbox.provider",
    group="baud.sandboxes",
    methods=("create", "place"),
    own=MappingProxyType({"local": "workflow.service.sandbox.local_provider:LocalProvider"}),
)
MODELS: Final = Providers(
    setting="llm.provider",
    group="baud.models",
    methods=("build_model", "build_counter", "warm_up"),
    own=MappingProxyType({
        "litellm": "workflow.llm.litellm.provider:LiteLLMProvider",
        "offline": "workflow.llm.offline.provider:OfflineProvider",
        "python": "workflow.llm.python_provider:PythonProvider",
    }),
)  # fmt: skip
