"""When a stream reconnects, how long it pauses before, and when it gives up."""

import ssl

import httpx
import pytest

from baud.sdk.errors import ApiError, AuthenticationError, BaudClientError, StreamLostError, UnreachableError
from baud.sdk.stream_request import StreamQuery
from baud.sdk.stream_session import StreamSession
from tests.fakes.fake_clock import FakeClock
from tests.unit.baud.stream_scene import POLICY, closing_error, connected, fed, frame, new_session, task


@pytest.mark.parametrize(("kind", "status"), [("unavailable", 503), ("internal_error", 500), ("busy", 429)])
def test_a_passing_error_leads_to_a_new_connection_after_a_pause(kind: str, status: int) -> None:
    session = connected(new_session())
    fed(session, task("1-0") + closing_error(kind, status))
    assert session.is_open
    assert not session.wants_more
    session.closed()
    assert session.wants_other_gateway
    assert 0.5 <= session.pause_seconds <= 1.0


def test_a_gateway_that_shuts_down_is_left_for_another_at_once() -> None:
    session = connected(new_session())
    fed(session, task("1-0") + closing_error("shutdown"))
    session.closed()
    assert session.is_open
    assert session.wants_other_gateway
    assert session.pause_seconds <= 0.25


def test_gateways_that_always_shut_down_are_a_failure() -> None:
    session = new_session()
    for _ in range(4):
        fed(connected(session), closing_error("shutdown"))
        session.closed()
    assert session.pause_seconds >= 4.0


def test_an_idle_thread_is_still_followed_if_wanted() -> None:
    session = connected(new_session(stay_when_idle=True))
    assert fed(session, closing_error("timeout", 408)) == []
    assert not session.wants_more
    session.closed()
    assert session.is_open
    assert session.pause_seconds <= 0.25


def test_pauses_double_up_to_the_longest() -> None:
    session = new_session()
    highest = []
    for _ in range(4):
        session.lost(OSError("gone"))
        highest.append(session.pause_seconds)
    for pause, limit in zip(highest, [1, 2, 4, 8], strict=True):
        assert limit / 2 <= pause <= limit


@pytest.mark.parametrize(("retry", "longest"), [(6000, 6.0), (99_999_999, 8.0)], ids=["fair", "absurd"])
def test_the_servers_retry_sets_the_first_pause(retry: int, longest: float) -> None:
    session = connected(new_session())
    fed(session, b"retry: %d\n\n" % retry)
    session.lost(OSError("gone"))
    assert longest / 2 <= session.pause_seconds <= longest


def test_an_outage_that_lasts_too_long_is_raised_with_the_last_id() -> None:
    clock = FakeClock()
    begin = clock.monotonic()
    session = StreamSession(POLICY, StreamQuery("t1"), now=clock.monotonic)
    fed(connected(session), task("5-0"))
    tries = 0

    def fail_again() -> None:
        nonlocal tries
        tries += 1
        session.lost(OSError("gone"))
        clock.advance(session.pause_seconds)

    while clock.monotonic() < begin + 60.0:
        fail_again()
    with pytest.raises(StreamLostError, match=r"for 60 s, .* OSError: gone; .* last_id='5-0'") as caught:
        fail_again()
    assert caught.value.last_id == "5-0"
    assert caught.value.outage_seconds == pytest.approx(60.0)  # the last pause was cut to what was left
    assert f"{tries} tries" in str(caught.value)


def test_an_outage_begins_with_the_first_failure_after_an_event() -> None:
    clock = FakeClock()
    session = StreamSession(POLICY, StreamQuery("t1"), now=clock.monotonic)
    for _ in range(3):
        session.lost(OSError("gone"))
        clock.advance(50.0)
        fed(connected(session), frame("keep_alive", {}))
        clock.advance(100.0)
    session.lost(OSError("gone"))
    assert session.is_open


def test_every_gateway_of_a_list_is_tried_before_a_long_pause() -> None:
    session = StreamSession(POLICY, StreamQuery("t1"), gateway_count=3)
    pauses = []
    for _ in range(6):
        session.lost(OSError("gone"))
        assert session.wants_other_gateway
        pauses.append(session.pause_seconds)
    assert max(pauses[0], pauses[1], pauses[3], pauses[4]) <= 0.25
    assert 0.5 <= pauses[2] <= 1.0
    assert 1.0 <= pauses[5] <= 2.0


def test_an_outage_is_logged_and_a_single_lost_connection_is_not(caplog: pytest.LogCaptureFixture) -> None:
    session = new_session()
    session.lost(OSError("gone"))
    assert caplog.messages == []
    session.lost(OSError("still gone"))
    assert [message.partition(";")[0] for message in caplog.messages] == [
        "the stream is interrupted (OSError: still gone)"
    ]


def _bad_certificate() -> Exception:
    error = httpx.ConnectError("self-signed certificate")
    error.__cause__ = ssl.SSLCertVerificationError()
    return error


@pytest.mark.parametrize(
    "error", [_bad_certificate(), httpx.UnsupportedProtocol("ftp"), httpx.LocalProtocolError("Illegal header value")]
)
def test_what_another_try_would_not_change_is_raised_at_once(error: Exception) -> None:
    with pytest.raises(UnreachableError, match="cannot be requested"):
        new_session().lost(error)


@pytest.mark.parametrize("received", [task("1-0"), frame("keep_alive", {})], ids=["event", "keep_alive"])
def test_an_event_or_keep_alive_resets_earlier_failures(received: bytes) -> None:
    session = new_session()
    for _ in range(4):
        session.lost(OSError("gone"))
    fed(connected(session), received)
    session.lost(OSError("gone"))
    assert session.pause_seconds <= 1.0


def test_an_orderly_close_with_progress_reconnects_at_once() -> None:
    session = connected(new_session())
    fed(session, task("1-0"))
    session.closed()
    assert session.is_open
    assert session.pause_seconds <= 0.25


def test_closing_at_once_every_time_is_a_failure() -> None:
    session = new_session()
    for _ in range(4):
        connected(session).closed()
    assert session.pause_seconds >= 4.0


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_refusal_that_may_pass_is_tried_again(status: int) -> None:
    session = new_session()
    assert not session.begin(status, {"retry-after": "7"}, b"")
    assert session.is_open
    assert session.pause_seconds >= 7.0


def test_a_refusal_that_stays_is_raised_with_its_code() -> None:
    body = b'{"detail": "No such thread.", "code": "thread_not_found", "request_id": "q1"}'
    with pytest.raises(ApiError) as caught:
        new_session().begin(404, {}, body)
    assert (caught.value.status, caught.value.code, caught.value.request_id) == (404, "thread_not_found", "q1")


HTML = {"content-type": "text/html"}


def test_a_response_that_is_not_an_event_stream_is_refused() -> None:
    with pytest.raises(BaudClientError, match="not an event stream but text/html"):
        new_session().begin(200, HTML, b"")


def test_a_proxys_page_in_place_of_an_earlier_stream_is_retried() -> None:
    session = connected(new_session())
    assert not session.begin(200, HTML, b"")
    assert session.is_open
    assert session.pause_seconds >= 0.5


def test_a_media_type_may_be_written_in_capitals() -> None:
    assert new_session().begin(200, {"content-type": "Text/Event-Stream"}, b"")


def test_a_lost_answer_about_activity_leads_to_another_connection() -> None:
    session = connected(new_session(until_completion=True))
    session.closed()
    assert session.asks_activity
    session.lost(UnreachableError("gone"))
    assert session.is_open
    assert not session.asks_activity


REVOKED = closing_error("unauthenticated", 401)


def test_a_revoked_credential_that_cannot_be_replaced_is_raised_after_the_events_before() -> None:
    session = connected(new_session())
    events = session.feed(task("1-0") + REVOKED)
    assert next(events).id == "1-0"
    with pytest.raises(AuthenticationError, match="401 unauthenticated: x"):
        next(events)


def refreshing_session(clock: FakeClock | None = None) -> StreamSession:
    return StreamSession(POLICY, StreamQuery("t1"), can_refresh=True, now=(clock or FakeClock()).monotonic)


def test_a_revoked_credential_is_replaced_at_the_same_gateway_at_once() -> None:
    session = connected(refreshing_session())
    assert [event.id for event in fed(session, task("1-0") + REVOKED + task("2-0"))] == ["1-0"]
    assert not session.wants_more
    session.closed()
    assert session.is_open
    assert not session.wants_other_gateway
    assert session.pause_seconds <= 0.25
    assert session.headers()["Last-Event-ID"] == "1-0"


def test_a_refused_credential_is_replaced_once_for_each_connection() -> None:
    session = refreshing_session()
    for _ in range(3):
        assert not session.begin(401, {}, b"")
        assert session.pause_seconds == 0.0
        connected(session)
    assert not session.begin(401, {}, b"")
    session.lost(OSError("gone"))
    with pytest.raises(AuthenticationError):
        session.begin(401, {}, b"")


def test_credentials_that_are_revoked_as_soon_as_they_are_used_are_a_failure() -> None:
    clock = FakeClock()
    session = refreshing_session(clock)

    def revoke_until_it_is_given_up() -> None:
        while session.is_open:
            fed(connected(session), REVOKED)
            session.closed()
            clock.advance(session.pause_seconds)

    with pytest.raises(StreamLostError, match="ended the stream with unauthenticated: x; no event came"):
        revoke_until_it_is_given_up()
