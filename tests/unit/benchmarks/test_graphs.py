"""The graphs show what is in the results, and the same results give the same files."""

from collections.abc import Callable, Mapping
from typing import Any
from xml.etree import ElementTree

import pytest
from matplotlib.container import BarContainer
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from benchmarks.graphs import cpu_graph, latency_graph, memory_graph, read_results, to_svg

LINES = ["a table", '{"benchmark": "many streams", "baud_250_p99_ms": 2.0, "baud_1000_p99_ms": 3.0}']
FIGURES = {
    f"{kind}_{streams}_{figure}": value * (2 if kind == "plain" else 1)
    for kind in ("baud", "plain")
    for streams in (250, 1000, 4000)
    for figure, value in (("p50_ms", 0.5), ("p95_ms", 2), ("p99_ms", 4), ("gateway_us", 80), ("redis_us", 20))
}
MEMORY = {"baud_kilobytes_each": 25.0, "plain_kilobytes_each": 60.0}


def points_of(line: Line2D) -> list[tuple[float, float]]:
    points: Any = line.get_xydata()  # typed as anything that may become an array
    return [(x, y) for x, y in points]


def lines_of(figure: Figure) -> dict[str, list[tuple[float, float]]]:
    """Return the points of each line by its label."""
    (axes,) = figure.axes
    return {str(line.get_label()): points_of(line) for line in axes.lines}


def test_results_are_the_json_lines_of_a_log() -> None:
    assert read_results(LINES) == {"many streams": {"baud_250_p99_ms": 2.0, "baud_1000_p99_ms": 3.0}}


def test_every_share_of_both_gateways_becomes_a_line_over_the_streams() -> None:
    values = {"p50": 0.5, "p95": 2.0, "p99": 4.0}
    assert lines_of(latency_graph(FIGURES)) == {
        f"{gateway}, {share}": [(0.0, factor * value), (1.0, factor * value), (2.0, factor * value)]
        for gateway, factor in (("Baud", 1), ("plain", 2))
        for share, value in values.items()
    }


def test_every_part_of_both_gateways_becomes_a_line_that_begins_at_zero() -> None:
    figure = cpu_graph(FIGURES)
    assert {label: points[0] for label, points in lines_of(figure).items()} == {
        "Baud, gateway": (0.0, 80.0), "Baud, Redis": (0.0, 20.0),
        "plain, gateway": (0.0, 160.0), "plain, Redis": (0.0, 40.0),
    }  # fmt: skip
    assert figure.axes[0].get_ylim()[0] == 0.0
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["250", "1,000", "4,000"]


def test_a_line_has_no_point_where_a_benchmark_left_a_size_out() -> None:
    figures = {key: value for key, value in FIGURES.items() if key != "plain_1000_gateway_us"}
    assert lines_of(cpu_graph(figures))["plain, gateway"] == [(0.0, 160.0), (2.0, 160.0)]


def test_each_gateway_has_a_bar_of_its_memory() -> None:
    (bars,) = memory_graph(MEMORY).axes[0].containers
    assert isinstance(bars, BarContainer)
    assert [bar.get_width() for bar in bars.patches] == [25.0, 60.0]


@pytest.mark.parametrize(
    ("draw", "figures", "text"),
    [(latency_graph, FIGURES, "From XADD to the client"), (memory_graph, MEMORY, "60.0 KB")],
    ids=["latency", "memory"],
)
def test_the_same_results_give_the_same_file_without_a_date(
    draw: Callable[[Mapping[str, float]], Figure], figures: Mapping[str, float], text: str
) -> None:
    svg = to_svg(draw(figures))
    assert svg == to_svg(draw(figures))
    assert ">" + text + "<" in svg
    assert "dc:date" not in svg
    ElementTree.fromstring(svg)
