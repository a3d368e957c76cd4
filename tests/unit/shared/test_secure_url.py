"""Which URLs keys may be fetched from."""

import pytest

from shared.secure_url import is_loopback, secure_url_fault


@pytest.mark.parametrize(
    "url",
    [
        "https://issuer.example", "https://issuer.example:8443/realms/baud?x=1", "https://10.0.0.1/", "https://[::1]/",
        "http://localhost:8080/realm", "http://127.0.0.1", "http://127.9.9.9:1/", "http://[::1]:80/keys",
        "HTTPS://issuer.example/",
    ],
)  # fmt: skip
def test_https_and_http_of_this_machine_may_be_fetched(url: str) -> None:
    assert secure_url_fault(url) == ""


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://issuer.example/", "must begin with https://"),
        ("http://127.0.0.1.issuer.example/", "must begin with https://"),
        ("http://10.0.0.1/", "must begin with https://"),
        ("http://0.0.0.0/", "must begin with https://"),
        ("http://2130706433/", "must begin with https://"),
        ("ftp://issuer.example/", "must begin with https://"),
        ("https://user:hush@issuer.example/", "neither a user nor a password"),
        ("https://user@issuer.example/", "neither a user nor a password"),
        ("https://issuer.example/#keys", "must end before the #"),
        ("", "must be a URL"),
        ("issuer.example", "must be a URL"),
        ("https://", "must be a URL"),
        ("https:///path", "must be a URL"),
        ("https://issuer.example:0/", "must be a URL"),
        ("https://issuer.example:70000/", "must be a URL"),
        ("https://issuer.example:x/", "must be a URL"),
        ("https://[::1/", "must be a URL"),
        ("https://issuer.example/a b", "must be a URL"),
        ("https://issuer.example/\n", "must be a URL"),
        ("https://\u0456ssuer.example/", "must be a URL"),
        ("https://issuer.example/" + "a" * 2048, "must be a URL"),
    ],
)
def test_other_urls_are_refused_with_a_sentence_that_quotes_nothing(url: str, expected: str) -> None:
    fault = secure_url_fault(url)
    assert fault.startswith(expected) or expected in fault
    assert "hush" not in fault


@pytest.mark.parametrize(("host", "expected"), [("localhost", True), ("127.1.2.3", True), ("::1", True), ("a", False)])
def test_this_machine_is_known_by_name_and_address(host: str, expected: bool) -> None:
    assert is_loopback(host) is expected
