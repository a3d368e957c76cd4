"""The way to the SQL stores for those who compose a process: no SQL library is imported before they are opened."""

import asyncio
import importlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

from shared.settings.model import Settings

if TYPE_CHECKING:
    from shared.db.stores import SqlStores

_STORES: Final = "shared.db.stores"


@asynccontextmanager
async def open_sql_stores(settings: Settings) -> AsyncIterator["SqlStores"]:
    """Open the stores until the end of the block; nothing is connected or checked before `database.check()`."""
    # In a thread: SQLAlchemy takes a second, in which streams have to go on.
    module = await asyncio.to_thread(importlib.import_module, _STORES)
    stores: SqlStores = module.make_sql_stores(settings)
    async with stores.database:
        yield stores
