"""What is masked, and that ordinary text is left alone."""

import pytest

from shared import redaction
from shared.redaction import Redactor, is_secret_name
from shared.secret_values import secret_values


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("sk-ant-hush1234567", id="provider-key"),
        pytest.param("ghp_hush1234567890", id="github"),
        pytest.param("Authorization: Bearer hush.hush-hush", id="bearer"),
        pytest.param("authorization: Basic hushhush==", id="basic"),
        pytest.param("redis://user:hush@host:6379/0", id="url"),
        pytest.param("redis://:hush@hush@host/0", id="at-sign-in-password"),
        pytest.param("redis://a:hush@one,redis://b:hush@two", id="two-urls"),
        pytest.param("redis+sentinel://:hush@one:1,two:2/main?sentinel_password=hush", id="sentinel-url"),
        pytest.param('{"api_key": "hush hush"}', id="json"),
        pytest.param(r"{\"api_key\": \"hush hush\"}", id="json-in-json"),
        pytest.param("{'db_password': 'hush hush'}", id="repr"),
        pytest.param("password=hush&x=1", id="query"),
        pytest.param("eyJhushhush.hush.hush", id="jwt"),
        pytest.param("baud_0123abcd_hush-hush_hush-hush_hush", id="api-key"),
    ],
)
def test_what_looks_like_a_secret_is_masked(text: str) -> None:
    redacted = Redactor().redact(text)

    assert "***" in redacted
    assert "hush" not in redacted


@pytest.mark.parametrize(
    "text",
    [
        "max_tokens=5 token=17",
        "a task-runner-of-mine",
        "http://host:8000/a@b",
        "basic authentication",
        "api_key=None",
        "redis://host:6379/0",
        "the sk-8 and the password",
    ],
)
def test_ordinary_text_is_left_alone(text: str) -> None:
    assert Redactor(["irrelevant"]).redact(text) == text


def test_known_values_are_masked_the_longest_too() -> None:
    assert Redactor(["hush", "hush-hush"]).redact("a hush-hush b hush") == "a *** b ***"


def test_secrets_of_an_environment_are_found_by_name_and_in_urls() -> None:
    environ = {
        "A_API_KEY": "long-enough",
        "B_TOKEN": "short",
        "REDIS_URL": "redis+sentinel://:p%40ssword@h/main?sentinel_password=sent%40inel",
        "HOME": "/home/me",
    }

    assert secret_values(environ) == {"long-enough", "p%40ssword", "p@ssword", "sent@inel"}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("api_key", True),
        ("DB_PASSWORD", True),
        ("GITHUB_TOKEN", True),
        ("SECRET_KEY", True),
        ("private_key", True),
        ("allow_credentials", False),
        ("max_tokens", False),
        ("tokenizer", False),
    ],
)
def test_secret_names_are_recognised(name: str, expected: bool) -> None:
    assert is_secret_name(name) is expected


@pytest.mark.parametrize(
    "piece", ["a-", "eyJaaaaaaaa-", "://a:", "api_key", "api_key =  ", "bearer ", "sk-", "_", "'\""]
)
def test_no_text_is_slow_for_the_expressions(piece: str) -> None:
    # A backtracking expression takes minutes for a hundredth of this: the time limit of the test is the check.
    Redactor(["hush-hush"]).redact(piece * (300_000 // len(piece)))


def test_every_expression_for_foreign_text_takes_linear_time() -> None:
    names = ("_PATTERNS", "_NAMED_BARE", "_NO_SECRET", "_HINTS")
    found = [getattr(redaction, name) for name in names]
    patterns = [pattern for pattern, _ in found[0]] + found[1:]
    assert {type(pattern).__module__ for pattern in patterns} == {"re2"}
