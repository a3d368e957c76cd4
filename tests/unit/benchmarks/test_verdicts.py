"""The checks of the benchmarks fail on each kind of loss, repetition and growth."""

import json
from collections import Counter

import pytest

from benchmarks.soak import Findings
from benchmarks.stream.cut_client import Seen
from benchmarks.stream.find_fault import find_fault
from benchmarks.stream.memory_slope import slope
from benchmarks.stream.reader import Subscriber, Tally
from benchmarks.stream.stamp import append_command, stamp

NOW_NS = 1_795_000_000_000_000_000


def frame(number: int) -> bytes:
    text = stamp(NOW_NS, number)
    return b'id: 1-%d\nevent: task_agent_execute\ndata: {"text":"%b"}\n\n' % (number, text)


def followed(*numbers: int, cut_at: int = 10_000) -> Tally:
    subscriber = Subscriber("t", Tally())
    subscriber.expected = 0
    stream = b"".join(frame(number) for number in numbers)
    subscriber.take(stream[:cut_at])
    subscriber.take(stream[cut_at:])
    return subscriber.tally


def event(number: int, kind: str, text: str = "") -> Seen:
    results = {"assistant_delta": {"assistant_delta": {"text": text}}}
    result = results.get(kind, {"assistant_response_result": text})
    return Seen(f"1-{number}", json.dumps({"uuid": "u", "execute_type": kind, "execute_result": result}))


LOG = [
    event(1, "user_message"), event(2, "assistant_delta", "0 "), event(3, "assistant_delta", "1 "),
    event(4, "assistant_response", "0 1 "), event(5, "flow_completion"),
]  # fmt: skip
GOOD = Counter({"events": 1, "runs": 1})
SHORT_LOG = [LOG[0], *LOG[3:]]


@pytest.mark.parametrize("cut_at", [1, 30, 95, 140])
def test_subscriber_counts_every_event_once_wherever_bytes_are_cut(cut_at: int) -> None:
    tally = followed(0, 1, 2, cut_at=cut_at)
    assert (tally.events, tally.missed, tally.doubled) == (3, 0, 0)


@pytest.mark.parametrize(
    ("numbers", "missed", "doubled"), [((0, 2), 1, 0), ((1, 2), 1, 0), ((0, 1, 1), 0, 1), ((0, 1, 2, 0), 0, 1)]
)
def test_subscriber_counts_gaps_and_repeats(numbers: tuple[int, ...], missed: int, doubled: int) -> None:
    tally = followed(*numbers)
    assert (tally.missed, tally.doubled) == (missed, doubled)


def test_written_command_holds_the_stamp_once_and_notifies() -> None:
    packed = append_command("abc").packed(NOW_NS, 7)
    assert packed.count(stamp(NOW_NS, 7)) == 1
    assert b"thread:abc:stream" in packed
    assert packed.endswith(b"thread:abc:bell\r\n$0\r\n\r\n")


def test_complete_view_of_a_log_has_no_fault() -> None:
    assert not find_fault(LOG, LOG, drops_deltas=False)


@pytest.mark.parametrize("seen", [LOG, [LOG[0], LOG[1], *LOG[3:]], SHORT_LOG], ids=["all", "first", "none"])
def test_any_beginning_of_dropped_deltas_has_no_fault(seen: list[Seen]) -> None:
    assert not find_fault(seen, SHORT_LOG, drops_deltas=True)


@pytest.mark.parametrize("drops", [False, True])
@pytest.mark.parametrize(
    "seen",
    [LOG[1:], LOG[:-1], [*LOG[:3], LOG[2], *LOG[3:]], [LOG[0], LOG[2], LOG[1], *LOG[3:]], [LOG[0], *LOG[2:]]],
    ids=["first missed", "last missed", "doubled", "swapped", "first delta missed"],
)
def test_loss_repetition_and_disorder_are_faults(seen: list[Seen], drops: bool) -> None:
    assert find_fault(seen, SHORT_LOG if drops else LOG, drops_deltas=drops)


def test_slope_follows_growth_after_the_warm_up_only() -> None:
    flat = slope([(float(second), 80.0 if second >= 10 else 40.0) for second in range(40)])
    growing = slope([(float(second), 80.0 + second) for second in range(40)])
    assert flat.growth_mb == pytest.approx(0)
    assert growing.mb_per_hour == pytest.approx(3600)


def passes(findings: Findings) -> bool:
    return all(kept for _, _, kept in findings.verdicts())


@pytest.mark.parametrize("name", ["missed", "doubled", "errors", "unfinished"])
def test_soak_fails_on_a_single_loss(name: str) -> None:
    assert passes(Findings(counts=GOOD))
    assert not passes(Findings(counts=GOOD + Counter({name: 1})))


@pytest.mark.parametrize("name", ["events", "runs"])
def test_soak_in_which_nothing_happened_fails(name: str) -> None:
    assert not passes(Findings(counts=GOOD - Counter({name: 1})))


def test_soak_fails_on_a_faulty_run_and_on_a_growing_gateway() -> None:
    growing = slope([(float(second), 80.0 + second) for second in range(40)])
    assert not passes(Findings(counts=GOOD, faults=["a run"]))
    assert not passes(Findings(counts=GOOD, slopes={"gateway 1": growing}))
