"""The section [auth]: how its keys are read, and which do not go together."""

import re
from pathlib import Path

import pytest

from shared.auth_config import AuthConfig, AuthMode, JwtAlgorithm
from shared.contract.principal import Scope
from shared.errors import ConfigurationError
from shared.settings.edit import set_key
from shared.settings.listing import list_rows
from shared.settings.load import load_settings, load_with_origins

SECRET = "0123456789abcdef0123456789abcdef"
TOKENS = {
    "BAUD_AUTH__MODE": "jwt",
    "BAUD_AUTH__JWT_ISSUER": "https://issuer.example/realm",
    "BAUD_AUTH__JWT_AUDIENCE": "baud",
}
SHARED = {**TOKENS, "BAUD_AUTH__JWT_ALGORITHMS": "HS256", "BAUD_AUTH__JWT_SECRET": SECRET}
PEM = "-----BEGIN {} KEY-----\nAAAA\n-----END {} KEY-----\n"


def load(environ: dict[str, str], folder: Path, toml: str = "") -> AuthConfig:
    (folder / "config.toml").write_text(toml, encoding="utf-8")
    return load_settings(environ, folder).auth


def refusal(environ: dict[str, str], folder: Path, toml: str = "") -> str:
    with pytest.raises(ConfigurationError) as caught:
        load(environ, folder, toml)
    return caught.value.message


def changed(**changes: str | None) -> dict[str, str]:
    """Return the variables for tokens with some changed, or taken out."""
    named = {f"BAUD_AUTH__{name}": value for name, value in changes.items()}
    return {name: value for name, value in {**TOKENS, **named}.items() if value is not None}


def test_by_default_nobody_is_asked_who_they_are(tmp_path: Path) -> None:
    assert load({}, tmp_path).mode is AuthMode.NONE


@pytest.mark.parametrize(
    "environ",
    [
        pytest.param(TOKENS, id="discovery"),
        pytest.param(SHARED, id="shared-secret"),
        pytest.param(changed(MODE="any"), id="any"),
        pytest.param(changed(JWT_ISSUER="http://127.0.0.1:9400"), id="discovery-on-this-machine"),
        pytest.param(changed(JWT_ISSUER="our-issuer", JWKS_URL="https://issuer.example/keys"), id="address-of-keys"),
        pytest.param(changed(JWT_ISSUER="our-issuer", JWT_PUBLIC_KEY=PEM.format("PUBLIC", "PUBLIC")), id="pem"),
        pytest.param(changed(JWT_PUBLIC_KEY="/etc/baud/issuer.pem"), id="file"),
        pytest.param(changed(JWT_ALGORITHMS="RS256,PS256,ES256,ES384,EdDSA"), id="several-algorithms"),
        pytest.param({**TOKENS, "BAUD_AUTH__MODE": "none"}, id="switched-off-on-purpose"),
        pytest.param({**TOKENS, "BAUD_AUTH__MODE": "api_key"}, id="keys-only-on-purpose"),
    ],
)
def test_complete_configurations_are_taken(environ: dict[str, str], tmp_path: Path) -> None:
    assert load(environ, tmp_path).jwt_audience == ("baud",)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        pytest.param(changed(JWT_ISSUER=None), "auth.jwt_issuer: must be set", id="no-issuer"),
        pytest.param(changed(JWT_AUDIENCE=None), "auth.jwt_audience: must be set", id="no-audience"),
        pytest.param(changed(JWT_AUDIENCE='["baud", ""]'), "auth.jwt_audience", id="empty-audience"),
        pytest.param(changed(JWT_ISSUER="our-issuer"), "must be a URL", id="discovery-of-no-url"),
        pytest.param(changed(JWT_ISSUER="http://issuer.example"), "must begin with https://", id="discovery-by-http"),
        pytest.param(changed(JWT_ISSUER="https://a.example/?b=1"), "must end before the ?", id="discovery-of-query"),
        pytest.param(changed(JWKS_URL="http://issuer.example/k"), "auth.jwks_url", id="keys-by-http"),
        pytest.param(changed(JWKS_URL="https://u:hush@a.example/k"), "neither a user nor", id="keys-with-password"),
        pytest.param(changed(JWT_ALGORITHMS="none"), "'HS256', 'HS384'", id="none"),
        pytest.param(changed(JWT_ALGORITHMS="[]"), "at least 1 item", id="no-algorithm"),
        pytest.param(changed(JWT_ALGORITHMS="RS256,HS256"), "auth.jwt_algorithms", id="mixed"),
        pytest.param(changed(JWT_SECRET=SECRET), "auth.jwt_secret", id="secret-for-rs256"),
        pytest.param(changed(JWT_PUBLIC_KEY="a.pem", JWKS_URL="https://a.example"), "auth.jwks_url", id="two-sources"),
        pytest.param(changed(JWT_PUBLIC_KEY=PEM.format("PRIVATE", "PRIVATE")), "is a private key", id="private-key"),
        pytest.param({**SHARED, "BAUD_AUTH__JWT_SECRET": ""}, "by BAUD_AUTH__JWT_SECRET", id="no-secret"),
        pytest.param({**SHARED, "BAUD_AUTH__JWT_SECRET": SECRET[:31]}, "at least 32 bytes", id="short-secret"),
        pytest.param({**SHARED, "BAUD_AUTH__JWT_ALGORITHMS": "HS256,HS512"}, "at least 64 bytes", id="short-for-hs512"),
        pytest.param({**SHARED, "BAUD_AUTH__JWT_SECRET": "hushhush" * 4}, "repeats few characters", id="simple-secret"),
        pytest.param({**SHARED, "BAUD_AUTH__JWT_SECRET": PEM.format("PUBLIC", "x")}, "is a PEM text", id="pem-secret"),
        pytest.param({**SHARED, "BAUD_AUTH__JWT_PUBLIC_KEY": "a.pem"}, "auth.jwt_public_key", id="key-for-hs256"),
        pytest.param({**SHARED, "BAUD_AUTH__JWKS_URL": "https://a.example"}, "auth.jwks_url", id="keys-for-hs256"),
        pytest.param(changed(JWKS_REFRESH="900"), "auth.jwks_refresh", id="refresh-not-ahead"),
        pytest.param(changed(JWKS_LIFETIME="900", JWKS_MAX_STALE="800"), "auth.jwks_lifetime", id="lifetime"),
        pytest.param(changed(JWKS_MAX_STALE="86401"), "less than or equal to 86400", id="stale-for-ever"),
        pytest.param(changed(JWT_LEEWAY="301"), "less than or equal to 300", id="leeway"),
        pytest.param(changed(CLAIM_ROLES="roles"), "add [auth.role_scopes]", id="roles-without-scopes"),
        pytest.param(changed(ROLE_SCOPES='{"a": ["run"]}'), "auth.claim_roles does not say", id="scopes-without-roles"),
        pytest.param(changed(DEFAULT_TENANT="a:b"), "auth.default_tenant", id="tenant"),
        pytest.param(changed(MODE=None), "set auth.mode = jwt or any", id="tokens-without-mode"),
        pytest.param({"BAUD_AUTH__JWT_AUDIENCE": "baud"}, "set auth.mode = jwt or any", id="audience-without-mode"),
        pytest.param({"BAUD_AUTH__MODE": "jtw"}, "'none', 'api_key', 'jwt' or 'any'", id="mode"),
    ],
)
def test_conflicts_are_refused_with_what_to_do(environ: dict[str, str], expected: str, tmp_path: Path) -> None:
    message = refusal(environ, tmp_path)
    assert expected in message
    assert [secret for secret in ("hush", SECRET[:8], "AAAA") if secret in message] == []


def test_a_secret_in_a_file_is_refused(tmp_path: Path) -> None:
    message = refusal({}, tmp_path, f"[auth]\njwt_secret = '{SECRET}'\n")
    assert "set BAUD_AUTH__JWT_SECRET in the environment" in message
    assert SECRET not in message


def test_roles_are_named_freely_in_a_file(tmp_path: Path) -> None:
    toml = '[auth]\nclaim_roles = "roles"\n[auth.role_scopes]\n"baud:admin" = ["admin", "read"]\nViewer = ["read"]\n'
    auth = load(TOKENS, tmp_path, toml)
    assert auth.role_scopes == {"baud:admin": (Scope.ADMIN, Scope.READ), "Viewer": (Scope.READ,)}


def test_an_empty_table_of_roles_sets_nothing(tmp_path: Path) -> None:
    assert load(TOKENS, tmp_path, "[auth]\nrole_scopes = {}\n").role_scopes == {}


def test_roles_are_read_from_variables_singly_or_as_an_object(tmp_path: Path) -> None:
    toml = '[auth]\nclaim_roles = "roles"\n[auth.role_scopes]\nviewer = ["read"]\n'
    one = load({**TOKENS, "BAUD_AUTH__ROLE_SCOPES__BUILDER": "read, run"}, tmp_path, toml)
    assert one.role_scopes == {"viewer": (Scope.READ,), "builder": (Scope.READ, Scope.RUN)}
    all_at_once = load({**TOKENS, "BAUD_AUTH__ROLE_SCOPES": '{"Baud:A": ["admin"]}'}, tmp_path, toml)
    assert all_at_once.role_scopes == {"Baud:A": (Scope.ADMIN,)}


@pytest.mark.parametrize(
    ("toml", "expected"),
    [
        ('[auth.role_scopes]\na = ["root"]\n', "'read', 'run', 'admin' or 'act_for_others'"),
        ('[auth.role_scopes]\na = "read"\n', "auth.role_scopes.a = 'read' (config.toml)"),
        ("[auth.role_scopes.a]\nb = 1\n", "auth.role_scopes is a single value, not a table"),
        ("[auth]\nrole_scopes = 3\n", "auth.role_scopes = 3 (config.toml)"),
        ("[auth]\nrolescopes = {}\n", "did you mean 'role_scopes'?"),
    ],
)
def test_faults_in_roles_are_told_where_they_stand(toml: str, expected: str, tmp_path: Path) -> None:
    assert expected in refusal(TOKENS, tmp_path, toml)


def test_what_is_set_is_shown_with_its_origin_and_the_secret_masked(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[auth.role_scopes]\nviewer = ["read"]\n')
    environ = {**SHARED, "BAUD_AUTH__CLAIM_ROLES": "roles"}
    rows = {row.key: (row.value, row.origin) for row in list_rows(load_with_origins(environ, tmp_path))}
    assert rows["auth.role_scopes.viewer"] == (["read"], "config.toml")
    assert rows["auth.jwt_secret"] == ("***", "BAUD_AUTH__JWT_SECRET")
    assert rows["auth.jwt_algorithms"] == (["HS256"], "BAUD_AUTH__JWT_ALGORITHMS")


def test_roles_of_one_variable_are_shown_as_its(tmp_path: Path) -> None:
    environ = {**TOKENS, "BAUD_AUTH__CLAIM_ROLES": "roles", "BAUD_AUTH__ROLE_SCOPES": '{"viewer": ["read"]}'}
    rows = {row.key: row.origin for row in list_rows(load_with_origins(environ, tmp_path))}
    assert rows["auth.role_scopes.viewer"] == "BAUD_AUTH__ROLE_SCOPES"


def test_a_role_is_set_by_command(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('[auth]\nclaim_roles = "roles"\nrole_scopes = {old = ["read"]}\n')
    set_key({}, tmp_path, "auth.role_scopes.builder", "read,run")
    assert load_settings({}, tmp_path).auth.role_scopes == {
        "old": (Scope.READ,),
        "builder": (Scope.READ, Scope.RUN),
    }


def test_only_algorithms_with_a_shared_secret_are_symmetric() -> None:
    assert [each for each in JwtAlgorithm if each.is_symmetric] == ["HS256", "HS384", "HS512"]


def test_the_example_of_the_documentation_is_a_configuration(tmp_path: Path) -> None:
    text = (Path(__file__).parents[3] / "docs" / "security.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"^```toml\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    auth = load({}, tmp_path, example)
    assert (auth.mode, auth.claim_roles) == (AuthMode.JWT, "realm_access.roles")
    assert auth.role_scopes["baud-admin"] == (Scope.READ, Scope.RUN, Scope.ADMIN)
    named = set(re.findall(r"`(jwt_\w+|jwks_\w+|claim_\w+|require_tenant|default_tenant|role_scopes)\b", text))
    assert {"jwt_leeway", "jwks_max_stale", "claim_tenant"} <= named <= set(AuthConfig.model_fields)
