"""Row-level security of a table, for migrations: PostgreSQL shows and takes rows of the transaction's tenant alone."""

from alembic import op


def enable_row_security(table: str, *, column: str = "tenant", read_also: str = "") -> None:
    """Enable it for everybody, the owner too; `read_also` is a condition on further rows that may be read.

    A pooled connection has '' for a setting without a value, where a new one has NULL.
    """
    if op.get_context().dialect.name != "postgresql":
        return
    is_own = f"{column} = (SELECT nullif(current_setting('baud.tenant', true), ''))"
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    op.execute(f"CREATE POLICY {table}_tenant ON {table} USING ({is_own}) WITH CHECK ({is_own})")
    if read_also:
        op.execute(f"CREATE POLICY {table}_read_also ON {table} FOR SELECT USING ({read_also})")
