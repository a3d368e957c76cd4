"""What the command checks before it listens, and what it must not import."""

import subprocess
import sys

import pytest

from gateway.core.serve import check_host
from shared.auth_config import AuthConfig, AuthMode
from shared.errors import ConfigurationError


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_loopback_addresses_need_no_option(host: str) -> None:
    check_host(host, AuthConfig())


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.org"])
def test_other_addresses_need_to_know_who_asks(host: str, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(ConfigurationError, match=r"auth\.mode.*auth\.anonymous_network"):
        check_host(host, AuthConfig())
    for mode in (AuthMode.API_KEY, AuthMode.JWT, AuthMode.ANY):
        check_host(host, AuthConfig(mode=mode))
    assert not caplog.records
    check_host(host, AuthConfig(anonymous_network=True))
    assert "may do anything" in caplog.text


@pytest.mark.parametrize(
    ("module", "heavy"),
    [
        ("gateway.core.serve", ("litellm", "workflow", "modem", "openai", "docker", "e2b")),
        ("gateway.core.main", ("sqlalchemy", "alembic", "psycopg", "aiosqlite", "sqlite3")),
        ("shared.db.opening", ("sqlalchemy", "alembic", "psycopg", "aiosqlite", "sqlite3")),
        ("shared.db.stores", ("alembic", "psycopg")),
        ("shared.db.sqlite", ("alembic", "psycopg")),
        ("shared.db.postgres", ("alembic",)),
    ],
)
def test_what_takes_long_to_import_is_not_imported_before_it_is_needed(module: str, heavy: tuple[str, ...]) -> None:
    program = f"import sys, {module}; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
