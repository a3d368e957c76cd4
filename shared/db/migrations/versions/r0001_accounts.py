"""Tenants, their users and API keys, and the tenant of an installation that has only one."""

from datetime import UTC, datetime

import sqlalchemy as sa
from alembic import op

from shared.db.migrations.row_security import enable_row_security

revision = "0001"
down_revision = None

# A key is found by its digest before its tenant is known; who does not present the key does not have the digest.
_BY_DIGEST = "hash = decode(nullif(current_setting('baud.digest', true), ''), 'hex')"
_IN_SYSTEM = "current_setting('baud.system', true) = 'on'"


def upgrade() -> None:
    """Make the tables and the row of the default tenant."""
    tenants = op.create_table(
        "tenants",
        sa.Column("id", sa.String(255), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("settings", sa.JSON()),
        sa.PrimaryKeyConstraint("id", name="pk_tenants"),
    )
    _create_users()
    _create_api_keys()
    # Before row-level security: it would refuse the row of a tenant that is not the transaction's.
    op.bulk_insert(tenants, [{"id": "default", "name": "Default", "created_at": datetime.now(UTC)}])
    enable_row_security("tenants", column="id", read_also=_IN_SYSTEM)
    enable_row_security("users")
    enable_row_security("api_keys", read_also=_BY_DIGEST)


def _create_users() -> None:
    op.create_table(
        "users",
        sa.Column("tenant", sa.String(255), nullable=False),
        sa.Column("id", sa.String(255), nullable=False),
        sa.Column("email", sa.String(320)),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("disabled_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("tenant", "id", name="pk_users"),
        sa.ForeignKeyConstraint(["tenant"], ["tenants.id"], name="fk_users_tenants", ondelete="CASCADE"),
        sa.UniqueConstraint("tenant", "email", name="uq_users_tenant_email"),
    )


def _create_api_keys() -> None:
    op.create_table(
        "api_keys",
        sa.Column("tenant", sa.String(255), nullable=False),
        sa.Column("id", sa.String(255), nullable=False),
        sa.Column("user_id", sa.String(255), nullable=False),
        sa.Column("prefix", sa.String(32), nullable=False),
        sa.Column("hash", sa.LargeBinary(32), nullable=False),
        sa.Column("scopes", sa.String(), nullable=False),
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True)),
        sa.Column("last_used_at", sa.DateTime(timezone=True)),
        sa.Column("revoked_at", sa.DateTime(timezone=True)),
        sa.PrimaryKeyConstraint("tenant", "id", name="pk_api_keys"),
        sa.ForeignKeyConstraint(
            ["tenant", "user_id"], ["users.tenant", "users.id"], name="fk_api_keys_users", ondelete="CASCADE"
        ),
        sa.UniqueConstraint("hash", name="uq_api_keys_hash"),
        sa.CheckConstraint("length(hash) = 32", name="ck_api_keys_hash_length"),
    )
