"""The code template that needs npm and its registry installs, passes its tests and answers with the app's name."""

from pathlib import Path

import pytest

from tests.integration.template_app import APP_NAME, copy_template, run, started


@pytest.mark.slow
def test_vite_react_app_installs_passes_its_tests_and_answers(tmp_path: Path) -> None:
    app = copy_template("vite-react", tmp_path)
    run(app, app.install)
    run(app, "npm test")
    with started(app) as client:
        page = client.get("/")
        assert page.status_code == 200
        assert f"<title>{APP_NAME}</title>" in page.text
        component = client.get("/src/App.jsx")
        assert component.headers["content-type"].startswith("text/javascript")
        assert APP_NAME in component.text
