"""Who may do what with a thread: its owner, those it is shared with, admins of its tenant, and nobody else."""

import pytest

from gateway.service.access import Action, ThreadAccess, acting_user, index_of, may_list
from shared.contract.principal import ALL_SCOPES, ANONYMOUS, Principal, Scope
from shared.contract.thread import NOBODY, ShareRole, ThreadOwner, ThreadRecord
from shared.errors import MissingScopeError, ReadOnlyThreadError, ThreadNotFoundError

_THREAD = ThreadOwner("acme", "alice", {"vera": ShareRole.VIEWER, "edith": ShareRole.EDITOR})
_WORK = frozenset({Scope.READ, Scope.RUN})
_REFUSED: dict[str, type[Exception]] = {
    "hidden": ThreadNotFoundError,
    "read only": ReadOnlyThreadError,
    "scope": MissingScopeError,
}


class _Owners:
    def __init__(self) -> None:
        self.asked: list[str] = []

    async def owner_of(self, thread_id: str) -> ThreadOwner | None:
        self.asked.append(thread_id)
        return {"t": _THREAD, "made by nobody": NOBODY}.get(thread_id)


def _user(user: str, *scopes: Scope, tenant: str = "acme") -> Principal:
    return Principal(tenant, user, frozenset(scopes) or _WORK, "test")


@pytest.mark.parametrize(
    ("who", "read", "run", "own"),
    [
        (_user("alice"), "yes", "yes", "yes"),
        (_user("edith"), "yes", "yes", "read only"),
        (_user("vera"), "yes", "read only", "read only"),
        (_user("mallory"), "hidden", "hidden", "hidden"),
        (_user(""), "hidden", "hidden", "hidden"),
        (_user("boss", Scope.ADMIN, *_WORK), "yes", "yes", "yes"),
        (_user("service", Scope.ACT_FOR_OTHERS, *_WORK), "yes", "yes", "yes"),
        (_user("alice", Scope.READ), "yes", "scope", "scope"),
        (_user("alice", Scope.RUN), "scope", "yes", "yes"),
        (_user("boss", Scope.ADMIN), "scope", "scope", "scope"),
        (_user("alice", tenant="evil"), "hidden", "hidden", "hidden"),
        (_user("vera", tenant="evil"), "hidden", "hidden", "hidden"),
        (Principal("evil", "boss", ALL_SCOPES, "test"), "hidden", "hidden", "hidden"),
        (ANONYMOUS, "yes", "yes", "yes"),
    ],
    ids=lambda who: f"{who.tenant}-{who.user}-{'+'.join(sorted(who.scopes))}" if isinstance(who, Principal) else who,
)
async def test_what_a_principal_may_do(who: Principal, read: str, run: str, own: str) -> None:
    access = ThreadAccess(_Owners())
    for action, expected in ((Action.READ, read), (Action.RUN, run), (Action.OWN, own)):
        if expected == "yes":
            await access.check(who, "t", action)
        else:
            with pytest.raises(_REFUSED[expected]):
                await access.check(who, "t", action)


@pytest.mark.parametrize("thread_id", ["t", "unknown", None], ids=["foreign", "unknown", "no run of this id"])
async def test_a_foreign_thread_is_told_from_an_unknown_one_by_nothing(thread_id: str | None) -> None:
    owners = _Owners()
    with pytest.raises(ThreadNotFoundError) as raised:
        await ThreadAccess(owners).check(_user("mallory"), thread_id, Action.READ)
    assert (len(owners.asked), raised.value.message) == (1, ThreadNotFoundError().message)


async def test_threads_that_nobody_owns_are_for_admins_of_the_default_tenant() -> None:
    access = ThreadAccess(_Owners())
    await access.check(_user("boss", Scope.ADMIN, Scope.READ, tenant="default"), "made by nobody", Action.READ)
    for who in (_user("", tenant="default"), _user("alice", tenant="default"), _user("boss", *ALL_SCOPES)):
        with pytest.raises(ThreadNotFoundError):
            await access.check(who, "made by nobody", Action.READ)


async def test_nobody_is_asked_for_where_nobody_is_asked_who_they_are() -> None:
    owners = _Owners()
    await ThreadAccess(owners).check(ANONYMOUS, "t", Action.OWN)
    assert owners.asked == []


def test_a_user_in_a_body_counts_only_for_who_may_act_for_others() -> None:
    assert acting_user(_user("alice"), None) == "alice"
    assert acting_user(_user("alice"), "alice") == "alice"
    assert acting_user(_user("service", Scope.ACT_FOR_OTHERS), "bob") == "bob"
    assert acting_user(ANONYMOUS, "anybody") == "anybody"
    for who in (_user("alice"), _user("boss", Scope.ADMIN)):
        with pytest.raises(MissingScopeError, match="act_for_others"):
            acting_user(who, "bob")


def test_each_principal_has_its_own_list_and_no_two_tenants_share_a_name() -> None:
    principals = [_user("b", tenant="a"), _user("b:c", tenant="a"), _user("c", tenant="a:b"), _user("x%3A", tenant="a")]
    admins = [_user("", Scope.ADMIN, tenant=tenant) for tenant in ("a", "a:b", "user", "user:a")]
    names = [index_of(who) for who in (*principals, *admins, ANONYMOUS)]
    assert len(set(names)) == len(names)


def test_an_entry_that_should_not_be_on_a_list_is_not_shown() -> None:
    thread = ThreadRecord(
        thread_id="t", tenant="acme", owner="alice", shares=dict(_THREAD.shares), created_at="", updated_at=""
    )
    assert [may_list(_user(user), thread) for user in ("alice", "vera", "mallory")] == [True, True, False]
    assert not may_list(Principal("evil", "alice", ALL_SCOPES, "test"), thread)
