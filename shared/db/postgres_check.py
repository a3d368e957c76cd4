"""What a PostgreSQL database must have before it is served: a role that is bound by policies, and our schema."""

from typing import Final

from sqlalchemy import Connection, text
from sqlalchemy.exc import ProgrammingError

from shared.db.revision import read_revision
from shared.db.schema import check_revision
from shared.db.tables import tenant_tables
from shared.errors import ConfigurationError, SchemaBehindError

_HOW_TO_MAKE_A_ROLE: Final = (
    "Row-level security does not bind it, so tenants would not be kept apart. Let db.url name a role of its own, made"
    " by CREATE ROLE … LOGIN NOSUPERUSER NOBYPASSRLS, and db.owner_url the one that owns the schema"
)
# Its own attributes, and those of roles that it could change to.
_UNBOUND_ROLES: Final = text(
    "SELECT current_user AS me, rolname, rolsuper FROM pg_roles"
    " WHERE (rolsuper OR rolbypassrls) AND pg_has_role(current_user, oid, 'MEMBER')"
    " ORDER BY rolname = current_user DESC, rolname LIMIT 1"
)
_TABLES: Final = text(
    "SELECT relname, pg_has_role(current_user, relowner, 'MEMBER') AS is_mine,"
    " relrowsecurity AND relforcerowsecurity AS is_protected"
    " FROM unnest(CAST(:names AS text[])) AS name JOIN pg_class ON pg_class.oid = to_regclass(name) ORDER BY relname"
)


def check_role_and_schema(connection: Connection) -> None:
    """Raise a ConfigurationError that says what is wrong and what to do."""
    _check_role(connection)
    check_revision(read_granted_revision(connection))
    _check_tables(connection)


def read_granted_revision(connection: Connection) -> str | None:
    """Return the revision. Raises SchemaBehindError where the upgrade was made for another role."""
    try:
        return read_revision(connection)
    except ProgrammingError as error:  # the table is there, but may not be read
        raise SchemaBehindError(
            "The role of db.url may not read the schema. Run: baud db upgrade, which also grants it what it needs"
        ) from error


def _check_role(connection: Connection) -> None:
    found = connection.execute(_UNBOUND_ROLES).one_or_none()
    if found is None:
        return
    power = "is a superuser" if found.rolsuper else "has BYPASSRLS"
    who = f"the role {found.me}, which {power}"
    if found.me != found.rolname:
        who = f"the role {found.me}, a member of {found.rolname}, which {power}"
    raise ConfigurationError(f"db.url connects as {who}. {_HOW_TO_MAKE_A_ROLE}.")


def _check_tables(connection: Connection) -> None:
    names = [table.name for table in tenant_tables()]
    rows = connection.execute(_TABLES, {"names": names}).all()
    if mine := [row.relname for row in rows if row.is_mine]:
        raise ConfigurationError(f"db.url connects as a role that owns the table {mine[0]}. {_HOW_TO_MAKE_A_ROLE}.")
    if bare := [row.relname for row in rows if not row.is_protected]:
        raise ConfigurationError(
            f"The table {bare[0]} has no forced row-level security, so tenants would not be kept apart. As its owner,"
            f" run: ALTER TABLE {bare[0]} ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY"
        )
