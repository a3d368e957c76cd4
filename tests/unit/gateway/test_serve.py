"""What the command checks before it listens, and what it must not import."""

import subprocess
import sys

import pytest

from gateway.core.serve import check_host
from shared.errors import ConfigurationError


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_loopback_addresses_need_no_option(host: str) -> None:
    check_host(host, insecure=False)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "example.org"])
def test_other_addresses_need_insecure(host: str) -> None:
    with pytest.raises(ConfigurationError, match="--insecure"):
        check_host(host, insecure=False)
    check_host(host, insecure=True)


def test_the_gateway_imports_neither_the_engine_nor_a_model_library() -> None:
    heavy = ("litellm", "workflow", "modem", "openai", "docker", "e2b")
    program = f"import sys, gateway.core.serve; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
