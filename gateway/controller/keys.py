"""Routes of API keys, for admins of a tenant: made, listed, revoked."""

from datetime import UTC, datetime, timedelta
from typing import Annotated

from fastapi import APIRouter, Query

from gateway.controller.dependencies import PrincipalDep, ServicesDep, require
from gateway.controller.documented_errors import may_answer
from gateway.controller.json_body import JsonRoute
from gateway.service.auth.sql_keys import ApiKeys
from shared.clock import isoformat
from shared.contract.api import ApiKeyList, ApiKeyRequest, ApiKeyView, NewApiKeyView
from shared.contract.principal import MAX_USER_CHARS, Scope
from shared.db.records import ApiKey
from shared.errors import ApiKeyNotFoundError, NoApiKeysError, TenantNotFoundError, UserDisabledError

router = APIRouter(prefix="/api/keys", tags=["keys"], route_class=JsonRoute, dependencies=[require(Scope.ADMIN)])

User = Annotated[str | None, Query(min_length=1, max_length=MAX_USER_CHARS, description="of this user only")]


@router.post(
    "",
    status_code=201,
    response_model_exclude_none=True,
    responses=may_answer(NoApiKeysError, TenantNotFoundError, UserDisabledError),
)
async def create_key(services: ServicesDep, principal: PrincipalDep, body: ApiKeyRequest) -> NewApiKeyView:
    """Make an API key of a user of the tenant; its text is in this answer and nowhere else."""
    expires_at = None
    if body.expires_in is not None:
        expires_at = datetime.now(UTC) + timedelta(seconds=body.expires_in)
    made = await _keys(services).create(
        tenant=principal.tenant,
        user_id=body.user_uuid or principal.user,
        scopes=body.scopes,
        name=body.name,
        expires_at=expires_at,
    )
    return NewApiKeyView(**_view(made.key).model_dump(), key=made.text)


@router.get("", response_model_exclude_none=True, responses=may_answer(NoApiKeysError))
async def list_keys(services: ServicesDep, principal: PrincipalDep, user: User = None) -> ApiKeyList:
    """List the newest 1,000 API keys of the tenant, without their texts."""
    keys = await _keys(services).list(principal.tenant, user_id=user)
    return ApiKeyList(items=tuple(map(_view, keys)))


@router.delete("/{key_id}", response_model_exclude_none=True, responses=may_answer(NoApiKeysError, ApiKeyNotFoundError))
async def revoke_key(services: ServicesDep, principal: PrincipalDep, key_id: str) -> ApiKeyList:
    """Revoke an API key, by its id or its prefix: it is refused within five seconds, and its streams end within ten."""
    return ApiKeyList(items=tuple(map(_view, await _keys(services).revoke(principal.tenant, key_id))))


def _keys(services: ServicesDep) -> ApiKeys:
    if services.api_keys is None:
        raise NoApiKeysError
    return services.api_keys


def _view(key: ApiKey) -> ApiKeyView:
    return ApiKeyView(
        id=key.id,
        user_uuid=key.user_id,
        prefix=key.prefix,
        name=key.name,
        scopes=tuple(sorted(key.scopes)),
        created_at=isoformat(key.created_at),
        expires_at=_text(key.expires_at),
        last_used_at=_text(key.last_used_at),
        revoked_at=_text(key.revoked_at),
    )


def _text(moment: datetime | None) -> str | None:
    return None if moment is None else isoformat(moment)
