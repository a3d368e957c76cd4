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


def test_the_gateway_imports_neither_the_engine_nor_a_model_library() -> None:
    heavy = ("litellm", "workflow", "modem", "openai", "docker", "e2b")
    program = f"import sys, gateway.core.serve; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
