"""Builds the verifier of tokens that the configuration asks for; without one, no library for tokens is imported."""

import importlib
from typing import Final

from gateway.service.auth.ports import TokenVerifier
from shared.auth_config import AuthConfig, AuthMode

_JWT: Final = "gateway.service.auth.build_jwt"


def build_token_verifier(config: AuthConfig) -> TokenVerifier | None:
    """Return the verifier, which has to be closed; None where tokens are not credentials.

    Raises ConfigurationError for a key that cannot be used. Nothing is fetched yet.
    """
    if config.mode not in (AuthMode.JWT, AuthMode.ANY):
        return None
    # PyJWT, cryptography and httpx take 0.5 s of CPU to import.
    module = importlib.import_module(_JWT)
    verifier: TokenVerifier = module.build_jwt_verifier(config)
    return verifier
