"""Inserts a row unless there is one, on either engine."""

from collections.abc import Mapping

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection


async def insert_if_absent(connection: AsyncConnection, table: Table, values: Mapping[str, object]) -> bool:
    """Return whether the row is new; one with the same key stays as it is."""
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    statement = insert(table).values(**values).on_conflict_do_nothing()
    # Without the option the number of an insert is not kept.
    result = await connection.execute(statement, execution_options={"preserve_rowcount": True})
    return result.rowcount == 1
