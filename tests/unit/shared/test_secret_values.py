"""Which variables hold secrets, and every form in which a program may print one."""

import base64
import html
import json
from urllib.parse import quote

import pytest

from shared.secret_matcher import SecretMatcher
from shared.secret_values import secret_forms, secret_values

SECRET = "kT9x/Q+2wZ=rb"
PEM = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0\nBAQEFAASCBKcwggSjAgEA\n-----END PRIVATE KEY-----\n"


@pytest.mark.parametrize(
    "name",
    [
        "A_API_KEY", "OPENAI_API_KEY_2", "apikey", "AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID",
        "AWS_SESSION_TOKEN", "SECRET_KEY", "SECRET_KEY_BASE", "DJANGO_SECRET_KEY", "PRIVATE_KEY",
        "GITHUB_APP_PRIVATE_KEY", "SIGNING_KEY", "ENCRYPTION_KEY", "GITHUB_TOKEN", "GITHUB_PAT",
        "AZURE_DEVOPS_EXT_PAT", "DB_PASSWORD", "PGPASSWORD", "MYSQL_PWD", "DB_PASS", "SSH_PASSPHRASE",
        "GOOGLE_CREDENTIALS", "SERVICE_CREDS", "REDISCLI_AUTH", "NPM_CONFIG__AUTH", "CLIENT_SECRET", "SENTRY_DSN",
        "STORAGE_ACCOUNT_KEY", "AZURE_STORAGE_CONNECTION_STRING", "DB_CONN_STR", "SLACK_WEBHOOK_URL",
        "SESSION_COOKIE", "SERVICE_JWT", "SSH_KEY",
    ],
)  # fmt: skip
def test_the_value_of_a_variable_with_such_a_name_is_a_secret(name: str) -> None:
    assert SECRET in secret_values({name: SECRET})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PWD", "/home/somebody/work"), ("OLDPWD", "C:\\Users\\somebody"), ("HOME_PWD", "/home/somebody"),
        ("PATH", "/usr/local/bin:/usr/bin"), ("GOOGLE_APPLICATION_CREDENTIALS", "/etc/keys/account.json"),
        ("SSH_KEY", "~/.ssh/id_ed25519"), ("TLS_PRIVATE_KEY", "/etc/tls/private.pem"), ("AWS_REGION", "eu-central-1"),
        ("AWS_PROFILE", "production"), ("SORT_KEY", "created_at"), ("KEYBOARD", "qwertz-layout"),
        ("MAX_TOKENS", "1000000000000"), ("DB_PASSWORD", "password"), ("DB_PASSWORD", "changeme"), ("A_TOKEN", "short"),
        ("A_SECRET", "--------------"), ("A_SECRET", "        "), ("SITE_URL", "https://example.org/a?page=12345678901"),
        ("PROXY", "http://proxy.example.org:3128"),
    ],
)  # fmt: skip
def test_paths_names_and_words_of_ordinary_text_are_no_secrets(name: str, value: str) -> None:
    assert secret_values({name: value}) == frozenset()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "postgres://app:{}@db:5432/app"), ("HTTPS_PROXY", "http://me:{}@proxy:3128"),
        ("BROKER", "amqp://a:x@one,amqp://b:{}@two"), ("REDIS_URL", "redis+sentinel://h/main?sentinel_password={}"),
        ("REPOSITORY", "https://{}@github.com/a/b"), ("CALLBACK_URI", "https://h/x?token={}"),
        ("SENTRY_DSN", "https://{}@o1.ingest.example.org/2"), ("DB_DSN", "host=db user=app password={} dbname=app"),
        ("SQL_CONNECTION_STRING", "Server=db;User Id=sa;Password={};Encrypt=true"),
        ("AZURE_CONNECTION_STRING", "AccountName=x;AccountKey={};EndpointSuffix=y"),
        ("API_AUTHORIZATION", "Bearer {}"), ("NPM_AUTH", "somebody:{}"),
        ("GOOGLE_CREDENTIALS", '{{"type": "service_account", "nested": [{{"private_key": "{}"}}]}}'),
    ],
)  # fmt: skip
def test_secrets_inside_of_a_value_are_found(name: str, value: str) -> None:
    secret = "kT9xQ2wZrbAbCdEfGh"
    assert secret in secret_values({name: value.format(secret)})


def test_each_line_of_a_key_is_a_secret() -> None:
    for value in (PEM, PEM.replace("\n", "\\n"), json.dumps({"private_key": PEM})):
        name = "SERVICE_CREDENTIALS" if value.startswith("{") else "PRIVATE_KEY"
        assert {"MIIEvQIBADANBgkqhkiG9w0", "BAQEFAASCBKcwggSjAgEA"} <= secret_values({name: value})
        assert "-----BEGIN PRIVATE KEY-----" not in secret_values({name: value})


@pytest.mark.parametrize("before", ["", "x", "xy", "user:"])
@pytest.mark.parametrize(
    "value", [SECRET, 'quo"te\\d é <&> \n line', "z" * 40 + SECRET * 4], ids=["plain", "odd", "long"]
)
def test_each_form_in_which_a_program_prints_it_is_masked(before: str, value: str) -> None:
    mask = SecretMatcher(secret_forms([value]), "#").mask
    encoded = base64.b64encode((before + value + "!").encode()).decode()
    forms = {
        "json": json.dumps(before + value), "json in json": json.dumps(json.dumps({"a": value})),
        "utf-8 json": json.dumps(value, ensure_ascii=False), "url": quote(value, safe=""), "html": html.escape(value),
        "hex": value.encode().hex(), "base64": encoded, "url-safe": encoded.replace("+", "-").replace("/", "_"),
    }  # fmt: skip
    for name, text in forms.items():
        assert "#" in mask(text), name
        assert len(mask(text)) < len(before) + 22, name


def test_base64_that_is_broken_into_lines_is_masked() -> None:
    value = "".join(chr(33 + number * 7 % 90) for number in range(200))
    printed = base64.encodebytes(value.encode()).decode()
    assert len(printed.splitlines()) > 3
    mask = SecretMatcher(secret_forms([value]), "#").mask
    assert set(mask(printed).splitlines()) <= {"#", ""}
