"""The code templates are complete: a manifest with every key, every file in the wheel, no address of another host."""

import json
import re
import tomllib
from pathlib import Path

import pytest
from hatchling.builders.wheel import WheelBuilder

import workflow

TEMPLATES = Path(workflow.__file__).parent / "template"
NAMES = sorted(manifest.parent.name for manifest in TEMPLATES.glob("*/template.toml"))
OWN_ADDRESSES = re.compile(r"https?://(?:127\.0\.0\.1\b|www\.w3\.org/2000/svg)")


def files_of(name: str) -> list[Path]:
    ignored = {"__pycache__", ".pytest_cache", "node_modules", "dist"}
    files = (TEMPLATES / name).rglob("*")
    return sorted(file for file in files if file.is_file() and not ignored & set(file.parts))


def test_the_promised_templates_exist() -> None:
    assert NAMES == ["fastapi", "static-site", "vite-react"]


@pytest.mark.parametrize("name", NAMES)
def test_manifest_has_every_key_and_a_start_on_a_given_port(name: str) -> None:
    manifest = tomllib.loads((TEMPLATES / name / "template.toml").read_text("utf-8"))
    assert set(manifest) == {"name", "description", "install", "start", "port"}
    assert manifest["name"] == name
    assert "1234" in manifest["start"].format(port=1234)
    assert 1024 <= manifest["port"] <= 65535


@pytest.mark.parametrize("name", NAMES)
def test_template_names_no_other_host(name: str) -> None:
    found = [file for file in files_of(name) if "://" in OWN_ADDRESSES.sub("", file.read_text("utf-8"))]
    assert found == []


def test_npm_lock_pins_each_package_by_hash_and_version() -> None:
    lock = json.loads((TEMPLATES / "vite-react" / "files" / "package-lock.json").read_text("utf-8"))
    packages = {path: package for path, package in lock["packages"].items() if path}
    assert len(packages) > 50
    assert [path for path, package in packages.items() if not {"version", "integrity"} <= package.keys()] == []
    assert [path for path, package in packages.items() if "resolved" in package] == []


@pytest.mark.parametrize("name", NAMES)
def test_every_template_file_is_in_the_wheel(name: str) -> None:
    root = TEMPLATES.parent.parent
    packed = {Path(file.path) for file in WheelBuilder(str(root)).recurse_included_files()}
    assert [file for file in files_of(name) if file not in packed] == []
