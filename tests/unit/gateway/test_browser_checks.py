"""Which requests are refused for the host that they name, and for the page that a browser sends them for."""

import ipaddress
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.datastructures import Headers

from gateway.core.browser_checks import AllowedHosts, AllowedOrigins, is_loopback
from shared.errors import ForbiddenError, ForeignHostError, ForeignOriginError

_NAMES = ("baud.example", "*.Team.example", "10.0.0.7")
_WEBSOCKET = ""
_READS, _CHANGES = ("GET", "HEAD", "OPTIONS"), ("POST", "PUT", "DELETE", "PATCH", _WEBSOCKET)


def _headers(*hosts: str, **others: str) -> Headers:
    lines = [("host", host) for host in hosts] + [(name.replace("_", "-"), value) for name, value in others.items()]
    return Headers(raw=[(name.encode(), value.encode("latin-1")) for name, value in lines])


def _serves(hosts: AllowedHosts, *found: str, version: str = "1.1") -> bool:
    try:
        hosts.require(_headers(*found), version)
    except ForeignHostError:
        return False
    return True


@pytest.mark.parametrize(
    "host",
    ["localhost", "localhost:8000", "LocalHost:8000", "127.0.0.1", "127.0.0.1:80", "127.8.9.10:1", "[::1]", "[::1]:80"],
)  # fmt: skip
def test_a_gateway_on_loopback_answers_for_the_names_of_loopback(host: str) -> None:
    assert _serves(AllowedHosts((), is_on_loopback=True), host)
    assert _serves(AllowedHosts(_NAMES, is_on_loopback=True), host)
    assert not _serves(AllowedHosts(_NAMES, is_on_loopback=False), host)
    assert _serves(AllowedHosts((), is_on_loopback=False), host)


@pytest.mark.parametrize(
    "host",
    ["baud.example", "baud.example:443", "BAUD.example", "a.team.example", "a.b.team.example:1", "10.0.0.7:8000"],
)
def test_configured_names_are_answered_on_every_address(host: str) -> None:
    assert _serves(AllowedHosts(_NAMES, is_on_loopback=True), host)
    assert _serves(AllowedHosts(_NAMES, is_on_loopback=False), host)
    assert not _serves(AllowedHosts((), is_on_loopback=True), host)
    assert _serves(AllowedHosts((), is_on_loopback=False), host)


@pytest.mark.parametrize(
    "host",
    ["evil.example", "evil.example:8000", "localhost.evil.example", "evil-localhost", "127.0.0.1.evil.example",
     "baud.example.evil.example", "evilbaud.example", "a.baud.example", "team.example", "evilteam.example", "0.0.0.0",
     "10.0.0.8", "[::]", "[fe80::1]", "2130706433", "0x7f000001", "localhost:", "localhost:x", "localhost:8000:1",
     "user@localhost", "localhost@evil.example", "localhost/", " localhost", "localhost,evil.example", "[localhost]",
     "[127.0.0.1]evil.example", "\xe9vil", ""],
)  # fmt: skip
def test_any_other_host_is_refused_where_hosts_are_checked(host: str) -> None:
    assert not _serves(AllowedHosts((), is_on_loopback=True), host)
    assert not _serves(AllowedHosts(_NAMES, is_on_loopback=True), host)
    assert not _serves(AllowedHosts(_NAMES, is_on_loopback=False), host)
    assert _serves(AllowedHosts((), is_on_loopback=False), host)
    assert _serves(AllowedHosts(("*",), is_on_loopback=True), host)


def test_two_hosts_are_none_and_only_http_1_0_needs_none() -> None:
    hosts = AllowedHosts((), is_on_loopback=True)
    assert not _serves(hosts, "localhost", "localhost")
    assert not _serves(hosts)
    assert _serves(hosts, version="1.0")
    assert not _serves(hosts, "evil.example", version="1.0")


@given(
    st.text(st.characters(max_codepoint=255), max_size=60) | st.from_regex(r"[a-z0-9.\[\]:@/*-]{1,30}", fullmatch=True)
)
def test_a_served_host_on_loopback_is_a_name_of_loopback(host: str) -> None:
    if not _serves(AllowedHosts((), is_on_loopback=True), host):
        return
    name = host.removesuffix(":" + host.rpartition(":")[2]) if not host.endswith("]") and ":" in host else host
    assert name.lower() == "localhost" or ipaddress.ip_address(name.strip("[]")).is_loopback


@pytest.mark.parametrize(("is_on_loopback", "where"), [(True, "on a loopback address"), (False, "does not answer for")])
def test_the_refusal_of_a_host_names_it_and_the_setting(is_on_loopback: bool, where: str) -> None:
    hosts = AllowedHosts(("baud.example",), is_on_loopback=is_on_loopback)
    with pytest.raises(ForeignHostError) as refused:
        hosts.require(_headers("evil.example" + "x" * 5000), "1.1")
    assert "'evil.example" in refused.value.message
    assert "gateway.allowed_hosts" in refused.value.message
    assert where in refused.value.message
    assert len(refused.value.message) < 500


_OWN, _LISTED, _FOREIGN = "http://localhost:8000", "https://app.example", "https://evil.example"
_CROSS, _SAME_SITE, _SAME, _NONE = (
    {"sec_fetch_site": site} for site in ("cross-site", "same-site", "same-origin", "none")
)
_LINK = {"sec_fetch_mode": "navigate"}


def _may(
    method: str, headers: Mapping[str, str], origins: tuple[str, ...] = (_LISTED,), host: str = "localhost:8000"
) -> bool:
    try:
        AllowedOrigins(origins).require(_headers(host, **headers), method)
    except ForeignOriginError:
        return False
    return True


@pytest.mark.parametrize("method", [*_READS, *_CHANGES])
@pytest.mark.parametrize(
    "headers",
    [{}, {"origin": _OWN}, {"origin": "https://localhost:8000"}, {"origin": "HTTP://LOCALHOST:8000"},
     {"origin": _LISTED}, {"origin": _LISTED, **_CROSS}, {"origin": _OWN, **_SAME}, _SAME, _NONE,
     {"origin": "https://baud.example", **_SAME}, {"origin": "null", **_SAME}],
    ids=["no browser", "own", "own behind TLS", "own in capitals", "listed", "listed, says so", "own, says so",
         "own without an origin", "the user", "own behind a proxy that changes Host", "own page that hides itself"],
)  # fmt: skip
def test_the_gateways_own_and_listed_pages_may_do_everything(method: str, headers: Mapping[str, str]) -> None:
    assert _may(method, headers)


_FOREIGN_PAGES: Mapping[str, Mapping[str, str]] = {
    "another origin": {"origin": _FOREIGN},
    "another origin, says so": {"origin": _FOREIGN, **_CROSS},
    "another port of this machine": {"origin": "http://localhost:3000", **_SAME_SITE},
    "no port": {"origin": "http://localhost"},
    "a file or a sandboxed frame": {"origin": "null"},
    "an empty origin": {"origin": ""},
    "no origin at all": {"origin": "nonsense"},
    "an origin that cannot be read": {"origin": "http://[x"},
    "an origin that contains the host": {"origin": "http://localhost:8000.evil.example"},
    "a host as the user": {"origin": "http://localhost:8000@evil.example"},
    "a user before the host": {"origin": "http://evil.example@localhost:8000"},
    "an image of another site": _CROSS,
    "an image of another port": _SAME_SITE,
}


@pytest.mark.parametrize("page", _FOREIGN_PAGES.values(), ids=_FOREIGN_PAGES.keys())
@pytest.mark.parametrize("method", [*_READS, *_CHANGES])
def test_other_pages_may_do_nothing_unless_every_page_may(method: str, page: Mapping[str, str]) -> None:
    assert not _may(method, page)
    assert not _may(method, page, ())
    assert _may(method, page, ("*",))


@pytest.mark.parametrize(("method", "may"), [*((each, each in ("GET", "HEAD")) for each in (*_READS, *_CHANGES))])
def test_a_link_on_another_page_may_be_followed_and_its_form_not_sent(method: str, may: bool) -> None:
    assert _may(method, {**_CROSS, **_LINK}) is may
    assert _may(method, {"origin": "null", **_CROSS, **_LINK}) is may


def test_an_empty_host_is_no_origins_own() -> None:
    assert not _may("POST", {"origin": "nonsense"}, host="")


@given(st.text(st.characters(max_codepoint=255), max_size=60), st.sampled_from(["cross-site", "same-site", "?", ""]))
def test_no_origin_passes_that_is_not_the_host_or_listed(origin: str, site: str) -> None:
    page = {"origin": origin, "sec_fetch_site": site}
    netloc = origin.partition("://")[2].lower() or origin.removeprefix("//").lower()
    assert not _may("POST", page) or netloc.startswith("localhost:8000")


def test_the_refusal_of_an_origin_names_it_and_the_setting() -> None:
    with pytest.raises(ForbiddenError) as refused:
        AllowedOrigins(()).require(_headers("localhost", origin=_FOREIGN + "x" * 5000), "POST")
    assert "'https://evil.example" in refused.value.message
    assert "cors.allow_origins" in refused.value.message
    assert len(refused.value.message) < 500


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1.2.3", "::1"])
def test_loopback_addresses(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.0.0.1", "baud.example", "localhost.example", "127.1", ""])
def test_addresses_that_others_can_reach(host: str) -> None:
    assert not is_loopback(host)
