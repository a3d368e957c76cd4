"""Providers by name: Baud's own and those of installed packages, imported when they are chosen."""

import re
import sys
import tomllib
from pathlib import Path

import pytest

from shared.config import LLMConfig, SandboxConfig
from shared.contract.message import ChatMessage, Role
from shared.errors import ConfigurationError
from shared.providers import MODELS, SANDBOXES, Providers
from shared.settings.load import load_settings
from workflow.llm.factory import build_counter, build_model
from workflow.llm.model import ModelAnswer, ModelRequest
from workflow.service.sandbox.provider import build_sandbox_provider

DOC = (Path(__file__).parents[3] / "docs" / "providers.md").read_text("utf-8")
FARM = """
class Farm:
    def __init__(self, config, root, *, is_production, env):
        self.facts = (config.provider, root.name, is_production, env)
    async def create(self, thread_id): ...
    async def place(self, thread_id): ...

class Field(Farm):
    place = None

def flooded(config, root, *, is_production, env):
    raise RuntimeError("no licence")
"""


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, points: str, **modules: str) -> None:
    """Install a package with these modules and entry points into a folder of the import path."""
    info = folder / "farming-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: farming\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(points)
    for name, text in modules.items():
        (folder / f"{name}.py").write_text(text)
        monkeypatch.delitem(sys.modules, name, raising=False)
    monkeypatch.syspath_prepend(str(folder))


def install_farms(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    targets = {"farm": "Farm", "field": "Field", "flooded": "flooded", "absent": "Nowhere"}
    points = "".join(f"{name} = farm_module:{target}\n" for name, target in targets.items())
    install(folder, monkeypatch, f"[baud.sandboxes]\n{points}", farm_module=FARM)


@pytest.mark.parametrize("providers", [SANDBOXES, MODELS], ids=["sandboxes", "models"])
def test_an_unknown_name_is_refused_with_those_that_there_are(providers: Providers) -> None:
    with pytest.raises(ConfigurationError) as caught:
        providers.make("teleport")
    assert caught.value.message == f"{providers.setting} is 'teleport'; it can be: {', '.join(sorted(providers.own))}."


def test_an_installed_sandbox_provider_is_chosen_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_farms(tmp_path, monkeypatch)
    config = load_settings({"BAUD_SANDBOX__PROVIDER": "farm"}, tmp_path).sandbox
    assert "farm_module" not in sys.modules, "nothing is imported before it is used"
    provider = build_sandbox_provider(config, Path("barn"), is_production=True, env={"SEED": "1"})
    assert vars(provider)["facts"] == ("farm", "barn", True, {"SEED": "1"})


def test_a_name_that_is_not_installed_is_refused_with_the_installed_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_farms(tmp_path, monkeypatch)
    with pytest.raises(ConfigurationError, match=r"unknown provider \(allowed: absent, farm, field, flooded, local\)"):
        load_settings({"BAUD_SANDBOX__PROVIDER": "moon"}, tmp_path)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("field", "makes Field, which has no method place"),
        ("flooded", "cannot be loaded: RuntimeError: no licence"),
        ("absent", "cannot be loaded: AttributeError"),
    ],
)
def test_a_broken_provider_is_refused_with_its_package_and_the_reason(
    name: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install_farms(tmp_path, monkeypatch)
    with pytest.raises(ConfigurationError, match=rf"sandbox\.provider: {name} of farming \(farm_module:\w+\) {words}"):
        build_sandbox_provider(SandboxConfig(provider=name), tmp_path, is_production=False, env={})


def test_two_packages_with_one_name_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, monkeypatch, "[baud.models]\nacre = one:Model\n\n[baud.others]\n")
    other = tmp_path / "other"
    (other / "ranching-1.0.dist-info").mkdir(parents=True)
    (other / "ranching-1.0.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: ranching\nVersion: 1.0\n")
    (other / "ranching-1.0.dist-info" / "entry_points.txt").write_text("[baud.models]\nacre = two:Model\n")
    monkeypatch.syspath_prepend(str(other))
    with pytest.raises(ConfigurationError, match=r"llm\.provider: .*(one|two):Model.* bring acre\. Remove one\."):
        build_model(LLMConfig(provider="acre"), {})


async def test_the_documented_provider_makes_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    python, toml = (re.findall(rf"```{language}\n(.*?)```", DOC, re.DOTALL)[0] for language in ("python", "toml"))
    ((group, points),) = tomllib.loads(toml)["project"]["entry-points"].items()
    ((name, value),) = points.items()
    install(tmp_path, monkeypatch, f"[{group}]\n{name} = {value}\n", **{value.partition(":")[0]: python})
    (tmp_path / "config.toml").write_text(f"[llm]\nprovider = '{name}'\ncontext_window = 77\n")
    config = load_settings({}, tmp_path).llm
    request = ModelRequest("", (ChatMessage(role=Role.USER, content="hello"),))
    (answer,) = [item async for item in build_model(config, {}).stream(request)]
    assert isinstance(answer, ModelAnswer)
    assert answer.text == "hello"
    assert build_counter(config, {}).context_window == 77
