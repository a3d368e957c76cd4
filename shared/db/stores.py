"""The stores in SQL, on the database that the settings name."""

import importlib
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from shared.clock import SystemClock
from shared.database_url import PostgresAddress, SqliteFile
from shared.db.api_keys import ApiKeyStore
from shared.db.database import Backend, Database
from shared.db.tenants import TenantStore
from shared.settings.model import Settings

# Imported when they are chosen: who uses SQLite needs no PostgreSQL driver.
_BACKENDS: Final = MappingProxyType({SqliteFile: "shared.db.sqlite", PostgresAddress: "shared.db.postgres"})


@dataclass(frozen=True, slots=True)
class SqlStores:
    """What is kept in SQL."""

    database: Database
    tenants: TenantStore
    api_keys: ApiKeyStore


def make_sql_stores(settings: Settings, clock: SystemClock | None = None) -> SqlStores:
    """Return the stores; connections are opened when they are needed."""
    address = settings.database_address
    module = importlib.import_module(_BACKENDS[type(address)])
    backend: Backend = module.open_backend(address, settings.db)
    database = Database(backend)
    clock = clock or SystemClock()
    return SqlStores(database, TenantStore(database, clock), ApiKeyStore(database, clock))
