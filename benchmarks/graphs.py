"""`python -m benchmarks.graphs [LOG]`: draw the graphs of docs/performance from the results stored there.

With a LOG of `make bench` its JSON lines are stored first, each replacing that of the same benchmark.
"""

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from benchmarks import idle_connections, many_streams
from benchmarks.svg_chart import Chart, Series, bar_chart, line_chart

_FOLDER: Final = Path(__file__).parents[1] / "docs" / "performance"
_DASHES: Final = {"p50": "", "p95": "7 4", "p99": "2 4"}
_LOOKS: Final = {"Baud": ("baud", "ours"), "plain": ("plain", "plain")}
Results = dict[str, dict[str, float]]


def read_results(lines: Iterable[str]) -> Results:
    """Return the figures of each benchmark that printed a JSON line."""
    found: Results = {}
    for line in lines:
        if line.startswith('{"benchmark": '):
            figures = json.loads(line)
            found[figures.pop("benchmark")] = figures
    return found


def _points(figures: Mapping[str, float], kind: str, figure: str) -> list[tuple[float, float]]:
    """Return (streams, value) of one figure; its keys are `{kind}_{streams}_{figure}`."""
    prefix, suffix = f"{kind}_", f"_{figure}"
    found = (
        (key.removeprefix(prefix).removesuffix(suffix), value)
        for key, value in figures.items()
        if key.startswith(prefix) and key.endswith(suffix)
    )
    return sorted((float(streams), value) for streams, value in found if streams.isdecimal())


def latency_chart(figures: Mapping[str, float]) -> str:
    """Draw how long an event takes, against the number of streams."""
    series = [
        Series(f"{name}, {share}", _points(figures, kind, f"{share}_ms"), look, dash)
        for name, (kind, look) in _LOOKS.items()
        for share, dash in _DASHES.items()
    ]
    return line_chart(Chart("From XADD to the client", "streams, 2 events/s each", "ms", series, is_log=True))


def cpu_chart(figures: Mapping[str, float]) -> str:
    """Draw what an event costs, against the number of streams."""
    series = [
        Series(f"{name}, {part}", _points(figures, kind, f"{key}_us"), look, dash)
        for name, (kind, look) in _LOOKS.items()
        for part, key, dash in (("gateway", "gateway", ""), ("Redis", "redis", "7 4"))
    ]
    return line_chart(Chart("CPU of every event delivered", "streams, 2 events/s each", "microseconds", series))


def memory_chart(figures: Mapping[str, float]) -> str:
    """Draw what a waiting client costs."""
    bars = [Series(name, [(0, figures[f"{kind}_kilobytes_each"])], look) for name, (kind, look) in _LOOKS.items()]
    return bar_chart("Memory of the gateway per idle connection", "KB", bars)


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
        (_FOLDER / "latency.svg").write_text(latency_chart(results[many_streams.TITLE]), "utf-8")
        (_FOLDER / "cpu.svg").write_text(cpu_chart(results[many_streams.TITLE]), "utf-8")
    if idle_connections.TITLE in results:
        (_FOLDER / "memory.svg").write_text(memory_chart(results[idle_connections.TITLE]), "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
