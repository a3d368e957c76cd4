"""What Alembic runs: the migrations, on the connection that shared/db/upgrade.py gives it."""

from alembic import context

from shared.db.tables import VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    version_table=VERSION_TABLE,
    # All or nothing, on SQLite too: upgrade.py begins its transactions itself.
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
