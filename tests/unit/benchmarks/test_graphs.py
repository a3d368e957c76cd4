"""The graphs show what is in the results, and load nothing from other places."""

from xml.etree import ElementTree

from benchmarks.graphs import cpu_chart, latency_chart, memory_chart, read_results
from benchmarks.svg_chart import Chart, Series, line_chart

SVG = "{http://www.w3.org/2000/svg}"
LINES = ["a table", '{"benchmark": "many streams", "baud_250_p99_ms": 2.0, "baud_1000_p99_ms": 3.0}']
FIGURES = {
    f"{kind}_{streams}_{figure}": value * (2 if kind == "plain" else 1)
    for kind in ("baud", "plain")
    for streams in (250, 1000, 4000)
    for figure, value in (("p50_ms", 0.5), ("p95_ms", 2), ("p99_ms", 4), ("gateway_us", 80), ("redis_us", 20))
}


def places(svg: str) -> list[list[tuple[float, float]]]:
    lines = ElementTree.fromstring(svg).iter(f"{SVG}polyline")
    return [[(float(x), float(y)) for x, y in (p.split(",") for p in line.attrib["points"].split())] for line in lines]


def test_results_are_the_json_lines_of_a_log() -> None:
    assert read_results(LINES) == {"many streams": {"baud_250_p99_ms": 2.0, "baud_1000_p99_ms": 3.0}}


def test_higher_values_stand_higher_and_columns_at_equal_distances() -> None:
    series = Series("a", [(250, 1.0), (1000, 10.0), (4000, 100.0)], "ours")
    [[first, second, third]] = places(line_chart(Chart("t", "x", "y", [series], is_log=True)))
    assert second[0] - first[0] == third[0] - second[0] > 0
    assert first[1] - second[1] == second[1] - third[1] > 0


def test_every_figure_of_both_gateways_becomes_a_line() -> None:
    assert [len(line) for line in places(latency_chart(FIGURES))] == [3] * 6
    assert [len(line) for line in places(cpu_chart(FIGURES))] == [3] * 4


def test_pages_name_no_other_place_and_know_dark() -> None:
    for svg in (latency_chart(FIGURES), memory_chart({"baud_kilobytes_each": 25.0, "plain_kilobytes_each": 60.0})):
        assert svg.count("http") == 1  # the namespace
        assert "prefers-color-scheme: dark" in svg
        ElementTree.fromstring(svg)
