"""Rows as the rest of Baud gets them; importing them loads no SQL library."""

from dataclasses import dataclass, field
from datetime import datetime

from shared.contract.principal import Principal, Scope


@dataclass(frozen=True, slots=True)
class Tenant:
    """A group of users whose data is separate from all others."""

    id: str
    name: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class ApiKey:
    """An API key without its secret; `prefix` is how its text begins."""

    id: str
    tenant: str
    user_id: str
    prefix: str
    scopes: frozenset[Scope]
    name: str
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None
    revoked_at: datetime | None

    @property
    def principal(self) -> Principal:
        """Who asks with this key; meant for one that was verified."""
        return Principal(
            tenant=self.tenant,
            user=self.user_id,
            scopes=self.scopes,
            credential=f"key:{self.id}",
            expires_at=self.expires_at.timestamp() if self.expires_at else None,
        )

    def is_expired(self, now: datetime) -> bool:
        """Whether its time is over."""
        return self.expires_at is not None and self.expires_at <= now


@dataclass(frozen=True, slots=True)
class NewApiKey:
    """A key that was just made; its text is not stored and cannot be shown again."""

    key: ApiKey
    text: str = field(repr=False)
    is_new_user: bool
