"""The tenants of an installation."""

from typing import Any, Final

from sqlalchemy import Row, select

from shared.clock import SystemClock
from shared.db.database import Database
from shared.db.insert import insert_if_absent
from shared.db.records import Tenant
from shared.db.tables import tenants
from shared.errors import InvalidRequestError, TenantExistsError, TenantNotFoundError
from shared.ids import ID_FORM, is_id, is_plain_text

_NAME_CHARS: Final = 200
_COLUMNS: Final = (tenants.c.id, tenants.c.name, tenants.c.created_at)


class TenantStore:
    """Makes, finds and lists tenants."""

    def __init__(self, database: Database, clock: SystemClock) -> None:
        self._database = database
        self._clock = clock

    async def create(self, tenant_id: str, name: str = "") -> Tenant:
        """Make a tenant. Raises InvalidRequestError and TenantExistsError."""
        if not is_id(tenant_id):
            raise InvalidRequestError(f"This cannot be the id of a tenant: {ID_FORM}.")
        tenant = Tenant(tenant_id, name or tenant_id, self._clock.now())
        if not is_plain_text(tenant.name, max_chars=_NAME_CHARS):
            raise InvalidRequestError(f"A name has 1 to {_NAME_CHARS} printable characters.")
        values = {"id": tenant.id, "name": tenant.name, "created_at": tenant.created_at}
        async with self._database.transaction(tenant_id) as connection:
            if not await insert_if_absent(connection, tenants, values):
                raise TenantExistsError
        return tenant

    async def find(self, tenant_id: str) -> Tenant:
        """Return a tenant. Raises TenantNotFoundError."""
        async with self._database.transaction(tenant_id, read_only=True) as connection:
            row = (await connection.execute(select(*_COLUMNS).where(tenants.c.id == tenant_id))).one_or_none()
        if row is None:
            raise TenantNotFoundError
        return _tenant(row)

    async def list(self) -> tuple[Tenant, ...]:
        """Return all tenants, by id."""
        async with self._database.system_transaction() as connection:
            rows = (await connection.execute(select(*_COLUMNS).order_by(tenants.c.id))).all()
        return tuple(_tenant(row) for row in rows)


def _tenant(row: Row[*tuple[Any, ...]]) -> Tenant:
    return Tenant(**row._asdict())
