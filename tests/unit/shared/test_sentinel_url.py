"""The parts of a Sentinel URL, and that an error does not show a bad URL."""

import pytest

from shared.sentinel_url import SentinelAddress, is_sentinel_url, parse_sentinel_url


def test_every_part_of_the_url_is_read() -> None:
    url = (
        "rediss+sentinel://us%40er:p%2Fw%3A1@one:1,[::1]:2,three/the%20main/7"
        "?sentinel_username=who&sentinel_password=a%26b&ssl_ca_certs=/etc/ca.pem"
    )
    assert is_sentinel_url(url)
    assert parse_sentinel_url(url) == SentinelAddress(
        sentinels=(("one", 1), ("::1", 2), ("three", 26379)),
        master_name="the main",
        db=7,
        username="us@er",
        password="p/w:1",
        sentinel_username="who",
        sentinel_password="a&b",
        tls={"ssl_ca_certs": "/etc/ca.pem"},
    )


def test_hosts_and_a_master_are_enough() -> None:
    assert parse_sentinel_url("redis+sentinel://one/main") == SentinelAddress((("one", 26379),), "main")


def test_an_address_does_not_show_its_passwords() -> None:
    address = parse_sentinel_url("redis+sentinel://:hush@one/main?sentinel_password=hush")
    assert "hush" not in repr(address)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        pytest.param("redis+sentinel://:hush@one:1", "names no master", id="no master"),
        pytest.param("redis+sentinel://:hush@/main", "Sentinel 1 must be host:port", id="no host"),
        pytest.param("redis+sentinel://:hush@one:1,two:x/main", "Sentinel 2 must be host:port", id="bad port"),
        pytest.param("redis+sentinel://:hush@one:1,:2/main", "Sentinel 2 must be host:port", id="port alone"),
        pytest.param("redis+sentinel://:hush@one/main/first", "number of the database", id="bad database"),
        pytest.param("redis+sentinel://:hush@one/main?master=hush", "an option that is not known", id="option"),
        pytest.param("redis+sentinel://:hush@one/main?ssl_ca_certs=hush", "not known", id="TLS option without TLS"),
        pytest.param("redis+sentinel://:hush@[one/main", "Sentinel 1 must be host:port", id="no URL"),
    ],
)
def test_a_bad_url_is_refused_by_what_is_wrong_with_it(url: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as refusal:
        parse_sentinel_url(url)
    assert "hush" not in str(refusal.value)
