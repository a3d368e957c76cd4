"""Decides whether a principal may read a thread, or work on it; a foreign thread is as one that does not exist."""

from enum import StrEnum
from typing import Protocol

from shared.contract.principal import ANONYMOUS, Principal, Scope
from shared.contract.thread import NOBODY, ShareRole, ThreadOwner, ThreadRecord
from shared.errors import MissingScopeError, ReadOnlyThreadError, ThreadNotFoundError
from shared.keys import THREAD_INDEX, tenant_index, user_index

# Stands in for the thread of a run that does not exist, so that such a request asks Redis as much as any other.
_NO_THREAD = "-"


class Action(StrEnum):
    """What a request does to a thread."""

    READ = "read"
    RUN = "run"  # execute, answer, cancel
    OWN = "own"  # delete, share


class OwnerReader(Protocol):
    """Knows whose a thread is."""

    async def owner_of(self, thread_id: str) -> ThreadOwner | None:
        """Return the owner; None when there is no such thread."""


class ThreadAccess:
    """Checks access to threads; where nobody is asked who they are, everything is allowed without asking Redis."""

    def __init__(self, threads: OwnerReader) -> None:
        self._threads = threads

    async def check_flow(self, principal: Principal, flow_uuid: str) -> None:
        """Check the stream of a legacy flow, which may be opened before the flow's thread exists.

        Legacy threads belong to the default tenant and to no user of it. Raises what `check` does.
        """
        if principal is ANONYMOUS:
            return
        require_scope(principal, Scope.READ)
        owner = await self._threads.owner_of(flow_uuid) or NOBODY
        if not _may_see(principal, owner):
            raise ThreadNotFoundError

    async def check(self, principal: Principal, thread_id: str | None, action: Action) -> ThreadOwner:
        """Return whose the thread is.

        Raises MissingScopeError, ThreadNotFoundError for what the principal may not see, ReadOnlyThreadError for what
        it may only read, StoreUnavailableError. `thread_id` is None for a thread that is already known not to exist.
        """
        require_scope(principal, Scope.READ if action is Action.READ else Scope.RUN)
        if principal is ANONYMOUS and thread_id is not None:
            return ThreadOwner(principal.tenant, principal.user)
        owner = await self._threads.owner_of(_NO_THREAD if thread_id is None else thread_id)
        if owner is None or thread_id is None or not _may_see(principal, owner):
            raise ThreadNotFoundError
        if not _may(principal, owner, action):
            raise ReadOnlyThreadError
        return owner


def may_list(principal: Principal, thread: ThreadRecord) -> bool:
    """Whether a thread belongs into the principal's list of threads."""
    return principal is ANONYMOUS or _may_see(principal, ThreadOwner(thread.tenant, thread.owner, thread.shares))


def index_of(principal: Principal) -> str:
    """Return the list of threads that the principal may see."""
    if principal is ANONYMOUS:
        return THREAD_INDEX
    if principal.may(Scope.ADMIN) or principal.may(Scope.ACT_FOR_OTHERS):
        return tenant_index(principal.tenant)
    return user_index(principal.tenant, principal.user)


def require_scope(principal: Principal, scope: Scope) -> None:
    """Raise MissingScopeError unless the principal has the scope."""
    if not principal.may(scope):
        raise MissingScopeError(f"The credential lacks the scope {scope.value!r}, which this request needs.")


def acting_user(principal: Principal, requested: str | None) -> str | None:
    """Return the user that a request is made for: the principal's own, unless it may name another.

    Raises MissingScopeError.
    """
    if principal is ANONYMOUS:
        return requested
    if requested is None or requested == principal.user:
        return principal.user
    if not principal.may(Scope.ACT_FOR_OTHERS):
        raise MissingScopeError(
            "user_uuid must be your own, or absent: the credential lacks the scope 'act_for_others'."
        )
    return requested


def _may_see(principal: Principal, owner: ThreadOwner) -> bool:
    return principal.tenant == owner.tenant and (_is_master(principal, owner) or principal.user in owner.shares)


def _is_master(principal: Principal, owner: ThreadOwner) -> bool:
    """Whether the thread is the principal's own, or it may use every thread of its tenant."""
    if principal.may(Scope.ADMIN) or principal.may(Scope.ACT_FOR_OTHERS):
        return True
    return bool(principal.user) and principal.user == owner.user


def _may(principal: Principal, owner: ThreadOwner, action: Action) -> bool:
    if _is_master(principal, owner) or action is Action.READ:
        return True
    return action is Action.RUN and owner.shares.get(principal.user) is ShareRole.EDITOR
