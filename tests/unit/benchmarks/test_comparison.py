"""A difference counts only where no round of one commit lies within the range of the other."""

import pytest

from benchmarks.compare import main
from benchmarks.comparison import NO_CHANGE, Compared, compare, read_figures


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [
        ([10, 11, 12], [12, 13, 14], NO_CHANGE),
        ([10, 11, 12], [5, 11, 50], NO_CHANGE),
        ([10, 11, 12], [10.5, 11, 11.5], NO_CHANGE),
        ([10, 10, 10], [10, 10, 10], NO_CHANGE),
        ([10, 11, 12], [13, 22, 23], "higher: +100.0%"),
        ([10, 20, 30], [5, 5, 9], "lower: -75.0%"),
        ([0, 0, 0], [1, 1, 1], "higher: +0.0%"),
    ],
    ids=["ranges touch", "around", "within", "same", "above", "below", "from nothing"],
)
def test_the_verdict_rests_on_the_ranges(before: list[float], after: list[float], verdict: str) -> None:
    assert Compared("figure", before, after).verdict == verdict


def test_figures_are_read_from_what_a_benchmark_prints() -> None:
    printed = '| a table |\n{"benchmark": "one", "p50": 1.5}\nnoise\n{"benchmark": "two", "p95": 2}\n'
    assert read_figures(printed) == {"p50": 1.5, "p95": 2.0}
    with pytest.raises(ValueError, match="no figures"):
        read_figures("nothing\n")


def test_only_figures_that_every_round_has_are_compared() -> None:
    compared = compare([{"a": 1, "b": 2}, {"a": 3}], [{"a": 2, "b": 2, "c": 1}, {"a": 4, "b": 1}])
    assert [(each.name, each.before, each.after) for each in compared] == [("a", [1, 3], [2, 4])]
    assert compared[0].row() == ("a", "2 (1 to 3)", "3 (2 to 4)", "1.500", NO_CHANGE)


@pytest.mark.parametrize("arguments", [[], ["HEAD"], ["HEAD", "start", "4"], ["HEAD", "start", "many"]])
def test_too_little_to_compare_is_explained(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    assert "at least 5 rounds" in capsys.readouterr().err
