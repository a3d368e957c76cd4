"""Which revisions of the schema this version knows, and whether a database has the newest; imports no Alembic."""

from functools import cache
from pathlib import Path
from typing import Final

from shared.errors import SchemaBehindError, SchemaTooNewError

MIGRATIONS: Final = Path(__file__).with_name("migrations")


@cache
def known_revisions() -> tuple[str, ...]:
    """Return the revisions in their order: versions/r0001_accounts.py makes revision 0001."""
    return tuple(sorted(file.name[1:5] for file in (MIGRATIONS / "versions").glob("r[0-9]*.py")))


def head_revision() -> str:
    """Return the revision that this version needs."""
    return known_revisions()[-1]


def check_revision(found: str | None) -> None:
    """Raise SchemaBehindError or SchemaTooNewError unless a database has the revision that this version needs."""
    if found == head_revision():
        return
    if found is None:
        raise SchemaBehindError("The database has no tables of Baud yet. Run: baud db upgrade")
    if found in known_revisions():
        raise SchemaBehindError(
            f"The schema of the database is at revision {found}, and this version needs {head_revision()}."
            " Run: baud db upgrade"
        )
    raise SchemaTooNewError(
        f"The schema of the database is at revision {found}, and this version knows {head_revision()} at most."
        " Run the version that made it, or a later one."
    )
