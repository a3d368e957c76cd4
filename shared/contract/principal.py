"""Who makes a request, and what it may do: the result of checking a credential."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

DEFAULT_TENANT: Final = "default"
MAX_USER_CHARS: Final = 255


class Scope(StrEnum):
    """What a principal may do in its tenant; each is checked by itself, none includes another."""

    READ = "read"  # read its own threads, runs and events, and those that are shared with it
    RUN = "run"  # make threads, execute tasks, answer and cancel runs
    ADMIN = "admin"  # everything of its tenant, threads of all its users included
    ACT_FOR_OTHERS = "act_for_others"  # name another user of the tenant as the one whose request this is


ALL_SCOPES: Final = frozenset(Scope)


@dataclass(frozen=True, slots=True)
class Principal:
    """A verified user of a tenant. Every store call of a request is made in its name.

    `credential` names what was checked, for revocation and audit ("key:ID", "jwt:ISSUER"), and holds no secret.
    `expires_at` is the end of its validity in seconds since the epoch; None for one that does not expire.
    """

    tenant: str
    user: str
    scopes: frozenset[Scope]
    credential: str
    expires_at: float | None = None

    def may(self, scope: Scope) -> bool:
        """Whether it has this scope."""
        return scope in self.scopes


# Who makes a request where nobody is asked who they are: auth.mode = none.
ANONYMOUS: Final = Principal(tenant=DEFAULT_TENANT, user="", scopes=ALL_SCOPES, credential="none")
