"""`python -m benchmarks.graphs [LOG]`: draw the graphs of docs/performance from the results stored there.

With a LOG of `make bench` its JSON lines are stored first, each replacing that of the same benchmark. The same results
give the same files, byte by byte.
"""

import io
import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final, Literal

from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks import idle_connections, many_streams

_FOLDER: Final = Path(__file__).parents[1] / "docs" / "performance"
_LINE_STYLES: Final = {"p50": "-", "p95": "--", "p99": ":"}
_LOOKS: Final = {"Baud": ("baud", "#0969da"), "plain": ("plain", "#bc4c00")}  # kind in the results, colour
_SIZE_INCHES: Final = (7.2, 4.0)
_GRID_COLOUR: Final = "#d0d7de"
_NO_METADATA: Final = dict.fromkeys(("Creator", "Date", "Format", "Type"))
Results = dict[str, dict[str, float]]


def read_results(lines: Iterable[str]) -> Results:
    """Return the figures of each benchmark that printed a JSON line."""
    found: Results = {}
    for line in lines:
        if line.startswith('{"benchmark": '):
            figures = json.loads(line)
            found[figures.pop("benchmark")] = figures
    return found


def _points(figures: Mapping[str, float], kind: str, figure: str) -> list[tuple[int, float]]:
    """Return (streams, value) of one figure; its keys are `{kind}_{streams}_{figure}`."""
    prefix, suffix = f"{kind}_", f"_{figure}"
    found = (
        (key.removeprefix(prefix).removesuffix(suffix), value)
        for key, value in figures.items()
        if key.startswith(prefix) and key.endswith(suffix)
    )
    return sorted((int(streams), value) for streams, value in found if streams.isdecimal())


def _begin(title: str, grid: Literal["x", "y"]) -> tuple[Figure, Axes]:
    figure = Figure(_SIZE_INCHES, layout="constrained")
    axes = figure.subplots()
    axes.set_title(title, loc="left", fontweight="bold")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis=grid, color=_GRID_COLOUR)
    axes.set_axisbelow(True)
    return figure, axes


def _draw_lines(axes: Axes, figures: Mapping[str, float], parts: Mapping[str, tuple[str, str]]) -> None:
    """Draw a line for each part of each gateway, at equal distances of x; `parts`: label to (figure, line style)."""
    kinds, names = [kind for kind, _ in _LOOKS.values()], [name for name, _ in parts.values()]
    columns = sorted({streams for kind in kinds for name in names for streams, _ in _points(figures, kind, name)})
    for gateway, (kind, colour) in _LOOKS.items():
        for part, (name, style) in parts.items():
            points = _points(figures, kind, name)
            places = [columns.index(streams) for streams, _ in points]
            values = [value for _, value in points]
            axes.plot(places, values, style, color=colour, marker="o", markersize=4, label=f"{gateway}, {part}")
    axes.set_xticks(range(len(columns)), [f"{streams:,}" for streams in columns])
    axes.set_xlabel("streams, 2 events/s each")
    axes.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), frameon=False)


def latency_graph(figures: Mapping[str, float]) -> Figure:
    """Draw how long an event takes, against the number of streams."""
    figure, axes = _begin("From XADD to the client", "y")
    _draw_lines(axes, figures, {share: (f"{share}_ms", style) for share, style in _LINE_STYLES.items()})
    axes.set_yscale("log")
    axes.yaxis.set_major_formatter("{x:,g}")
    axes.set_ylabel("ms")
    return figure


def cpu_graph(figures: Mapping[str, float]) -> Figure:
    """Draw what an event costs, against the number of streams."""
    figure, axes = _begin("CPU of every event delivered", "y")
    _draw_lines(axes, figures, {"gateway": ("gateway_us", "-"), "Redis": ("redis_us", "--")})
    axes.set_ylim(bottom=0)
    axes.set_ylabel("microseconds")
    return figure


def memory_graph(figures: Mapping[str, float]) -> Figure:
    """Draw what a waiting client costs."""
    figure, axes = _begin("Memory of the gateway per idle connection", "x")
    values = [figures[f"{kind}_kilobytes_each"] for kind, _ in _LOOKS.values()]
    bars = axes.barh(list(_LOOKS), values, color=[colour for _, colour in _LOOKS.values()], height=0.6)
    axes.bar_label(bars, [f"{value:,.1f} KB" for value in values], padding=4)
    axes.margins(x=0.12)  # for the labels
    axes.invert_yaxis()
    axes.set_xlabel("KB")
    figure.set_figheight(_SIZE_INCHES[1] / 2)
    return figure


def to_svg(figure: Figure) -> str:
    """Return a graph as an SVG file, the same for the same figures."""
    written = io.StringIO()
    # Ids in the file are random without a salt; text stays text, in a font of the reader's.
    with rc_context({"svg.hashsalt": "baud", "svg.fonttype": "none"}):
        figure.savefig(written, format="svg", metadata=_NO_METADATA)
    return "".join(f"{line.rstrip()}\n" for line in written.getvalue().splitlines())


def main(arguments: list[str]) -> int:
    """Store the results of a log, if one is given, and draw what there are results for."""
    kept = _FOLDER / "results.json"
    results: Results = json.loads(kept.read_text("utf-8")) if kept.exists() else {}
    for log in arguments:
        results |= read_results(Path(log).read_text("utf-8").splitlines())
    if not results:
        sys.stderr.write("no results yet; run `make bench`, which writes a log, and name it here\n")
        return 2
    kept.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n", "utf-8")
    if many_streams.TITLE in results:
        (_FOLDER / "latency.svg").write_text(to_svg(latency_graph(results[many_streams.TITLE])), "utf-8")
        (_FOLDER / "cpu.svg").write_text(to_svg(cpu_graph(results[many_streams.TITLE])), "utf-8")
    if idle_connections.TITLE in results:
        (_FOLDER / "memory.svg").write_text(to_svg(memory_graph(results[idle_connections.TITLE])), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
