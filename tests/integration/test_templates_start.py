"""Each code template that needs Python alone installs, starts and answers with the app's name."""

import sys
from pathlib import Path

from tests.integration.template_app import APP_NAME, copy_template, run, started


def test_static_site_serves_its_page_style_and_script(tmp_path: Path) -> None:
    app = copy_template("static-site", tmp_path)
    with started(app) as client:
        page = client.get("/")
        assert page.status_code == 200
        assert f"<title>{APP_NAME}</title>" in page.text
        assert client.get("/style.css").status_code == 200
        assert client.get("/script.js").status_code == 200


def test_fastapi_app_passes_its_tests_and_answers(tmp_path: Path) -> None:
    app = copy_template("fastapi", tmp_path)
    # This environment holds the requirements already, so it stands in for the one that `install` makes.
    (app.folder / ".venv").symlink_to(sys.prefix)
    run(app, ".venv/bin/python -m pytest -q -p no:cacheprovider")
    with started(app) as client:
        assert client.get("/").json()["name"] == APP_NAME
        assert client.get("/health").json() == {"status": "healthy"}
        assert client.post("/items", json={"name": "Ebb"}).json() == {"id": 1, "name": "Ebb", "done": False}
