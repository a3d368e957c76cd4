"""Reads the header of a token before anything in it is verified, within limits: what is odd is refused here."""

import base64
import binascii
import re
from dataclasses import dataclass
from typing import Any, Final

from shared.contract.json_text import JsonSyntaxError, JsonTextError, read_json
from shared.errors import InvalidCredentialError

# Tokens with hundreds of groups have 10 KB; nginx and others take header lines of 8 KB.
MAX_TOKEN_BYTES: Final = 16_384
_MAX_HEADER_CHARS: Final = 4096  # usual ones have 100; those with a certificate 3,000
_MAX_KEY_ID_CHARS: Final = 256
_FORM: Final = re.compile(r"([A-Za-z0-9_-]+)\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]*")
# Logout and other tokens of an issuer have types of their own, so that they cannot be used to gain access (RFC 8725).
_TYPES: Final = frozenset({"jwt", "at+jwt"})


@dataclass(frozen=True, slots=True)
class TokenHeader:
    """What a token says of its signature; none of it is to be believed."""

    algorithm: str
    key_id: str | None


def read_header(token: str) -> TokenHeader:
    """Return the header of a token. Raises InvalidCredentialError that says what is wrong with it."""
    form = _FORM.fullmatch(token)
    if form is None:
        raise InvalidCredentialError("The token is not a signed JWT: three parts of base64url, joined by dots.")
    header = _decode(form[1])
    if "crit" in header or "b64" in header:
        raise InvalidCredentialError("The header of the token asks for extensions (crit) that are not supported.")
    _check_type(header)
    algorithm = header.get("alg")
    if not isinstance(algorithm, str):
        raise InvalidCredentialError("The header of the token names no algorithm (alg).")
    return TokenHeader(algorithm, _key_id(header))


def _decode(part: str) -> dict[str, Any]:
    if len(part) > _MAX_HEADER_CHARS:
        raise InvalidCredentialError(f"The header of the token is longer than {_MAX_HEADER_CHARS:,} characters.")
    try:
        header = read_json(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)), unique_names=True)
    except (binascii.Error, JsonSyntaxError) as error:
        raise InvalidCredentialError("The header of the token is not JSON in base64url.") from error
    except JsonTextError as error:
        raise InvalidCredentialError(f"The header of the token cannot be taken: {error}.") from error
    if not isinstance(header, dict):
        raise InvalidCredentialError("The header of the token is not a JSON object.")
    return header


def _check_type(header: dict[str, Any]) -> None:
    kind = header.get("typ", "JWT")
    if not isinstance(kind, str) or kind.lower().removeprefix("application/") not in _TYPES:
        raise InvalidCredentialError("The token is not one for access: its type (typ) is neither JWT nor at+jwt.")


def _key_id(header: dict[str, Any]) -> str | None:
    if "kid" not in header:
        return None
    key_id = header["kid"]
    if not isinstance(key_id, str) or not 0 < len(key_id) <= _MAX_KEY_ID_CHARS:
        raise InvalidCredentialError(
            f"The id of the token's key (kid) is not a text of 1 to {_MAX_KEY_ID_CHARS} characters."
        )
    return key_id
