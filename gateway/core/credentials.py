"""Opens what checks credentials, as the configuration asks for it; what a mode does not need is not imported."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass

from gateway.service.auth.any_verifier import AnyVerifier
from gateway.service.auth.build import build_token_verifier
from gateway.service.auth.credential_watch import CredentialWatch, RevocationLookup
from gateway.service.auth.key_verifier import ApiKeyVerifier
from gateway.service.auth.ports import CredentialVerifier, TokenVerifier
from gateway.service.auth.sql_keys import ApiKeys, SqlKeys
from shared.auth_config import AuthMode
from shared.clock import SystemClock
from shared.db.opening import open_sql_stores
from shared.errors import DatabaseUnavailableError
from shared.settings.model import Settings


@dataclass(frozen=True, slots=True)
class Credentials:
    """What checks credentials."""

    verifier: CredentialVerifier
    tokens: TokenVerifier | None
    watch: CredentialWatch
    api_keys: ApiKeys | None
    revocations: RevocationLookup | None  # None: tokens, which nobody can revoke


@asynccontextmanager
async def open_credentials(settings: Settings) -> AsyncIterator[Credentials | None]:
    """Yield what checks credentials until the end of the block; None where nobody is asked who they are.

    Raises ConfigurationError for a key that cannot be used.
    """
    mode, clock = settings.auth.mode, SystemClock()
    if mode is AuthMode.NONE:
        yield None
        return
    async with AsyncExitStack() as stack:
        keys = store = None
        if mode in (AuthMode.API_KEY, AuthMode.ANY):
            stores = await stack.enter_async_context(open_sql_stores(settings))
            store = stores.api_keys
            keys = SqlKeys(store)
            stack.push_async_callback(keys.close)
        tokens = build_token_verifier(settings.auth)
        if tokens is not None:
            stack.push_async_callback(tokens.aclose)
        verifier = AnyVerifier(None if keys is None else ApiKeyVerifier(keys, clock), tokens)
        yield Credentials(verifier, tokens, CredentialWatch(keys, clock), store, keys)


async def check_credentials(settings: Settings) -> None:
    """Raise ConfigurationError for a key, or a database that answers, that cannot be used."""
    if settings.auth.mode in (AuthMode.API_KEY, AuthMode.ANY):
        async with open_sql_stores(settings) as stores:
            with suppress(DatabaseUnavailableError):  # requests with a key get 503 until it answers
                await stores.database.check()
    tokens = build_token_verifier(settings.auth)
    if tokens is not None:
        await tokens.aclose()
