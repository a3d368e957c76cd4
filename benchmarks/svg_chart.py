"""Line and bar charts as small SVG files that read well on light and dark pages, without fonts of others."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import escape

_WIDTH: Final = 720
_HEIGHT: Final = 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 190, 50, 60
_BAR_HEIGHT: Final = 34
_BAR_WIDTH: Final = 380
_STYLE: Final = """
  .page { fill: #ffffff } .text { fill: #24292f } .faint { fill: #57606a } .grid { stroke: #d0d7de }
  .ours { stroke: #0969da; color: #0969da } .plain { stroke: #bc4c00; color: #bc4c00 }
  text { font: 13px system-ui, sans-serif } .title { font-size: 16px; font-weight: 600 }
  polyline, .key { fill: none; stroke-width: 2 } circle, .bar { fill: currentColor; stroke: none }
  @media (prefers-color-scheme: dark) {
    .page { fill: #0d1117 } .text { fill: #e6edf3 } .faint { fill: #9198a1 } .grid { stroke: #3d444d }
    .ours { stroke: #58a6ff; color: #58a6ff } .plain { stroke: #f0883e; color: #f0883e }
  }
"""


@dataclass(frozen=True, slots=True)
class Series:
    """One line or bar; `look` is `ours` or `plain`, `dash` an SVG dash pattern."""

    name: str
    points: Sequence[tuple[float, float]]
    look: str
    dash: str = ""


@dataclass(frozen=True, slots=True)
class Chart:
    """Lines over values of x that stand at equal distances."""

    title: str
    x_label: str
    y_label: str
    series: Sequence[Series]
    is_log: bool = False

    def ticks(self) -> list[float]:
        """Return the values of y that get a line."""
        values = [y for series in self.series for _, y in series.points]
        if self.is_log:
            low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
            return [10.0**power for power in range(low, max(high, low + 1) + 1)]
        step = _round_step(max(values) / 5)
        return [step * position for position in range(math.ceil(max(values) / step) + 1)]

    def columns(self) -> list[float]:
        """Return the values of x."""
        return sorted({x for series in self.series for x, _ in series.points})


def _round_step(least: float) -> float:
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power >= least)


def line_chart(chart: Chart) -> str:
    """Return the SVG of a chart."""
    ticks, columns = chart.ticks(), chart.columns()
    width, height = _WIDTH - _LEFT - _RIGHT, _HEIGHT - _TOP - _BOTTOM

    def at_x(value: float) -> float:
        return _LEFT + width * (columns.index(value) + 0.5) / len(columns)

    def at_y(value: float) -> float:
        if chart.is_log:
            low, high = math.log10(ticks[0]), math.log10(ticks[-1])
            return _TOP + height * (1 - (math.log10(value) - low) / (high - low))
        return _TOP + height * (1 - value / ticks[-1])

    parts = [_text(_LEFT, 28, chart.title, "text title"), _text(_LEFT, _TOP - 6, chart.y_label, "faint")]
    for tick in ticks:
        y = at_y(tick)
        parts.append(f'<line class="grid" x1="{_LEFT}" x2="{_LEFT + width}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(_text(_LEFT - 8, y + 4, f"{tick:,g}", "faint", "end"))
    for column in columns:
        parts.append(_text(at_x(column), _TOP + height + 20, f"{column:,.0f}", "faint", "middle"))
    parts.append(_text(_LEFT + width / 2, _HEIGHT - 16, chart.x_label, "faint", "middle"))
    for position, series in enumerate(chart.series):
        parts += _line(series, [(at_x(x), at_y(y)) for x, y in series.points])
        parts += _key(series, _LEFT + width + 14, _TOP + 12 + 24 * position)
    return _page(parts, _HEIGHT)


def bar_chart(title: str, unit: str, bars: Sequence[Series]) -> str:
    """Return the SVG of one bar for each series, its y the length."""
    most = max(bar.points[0][1] for bar in bars)
    parts = [_text(_LEFT, 28, title, "text title")]
    for position, bar in enumerate(bars):
        value, y = bar.points[0][1], _TOP + position * (_BAR_HEIGHT + 12)
        length = _BAR_WIDTH * value / most
        parts.append(_text(_LEFT + 80, y + 22, bar.name, "text", "end"))
        shape = f'x="{_LEFT + 90}" y="{y}" width="{length:.1f}" height="{_BAR_HEIGHT}"'
        parts.append(f'<g class="{bar.look}"><rect class="bar" {shape}/></g>')
        parts.append(_text(_LEFT + 98 + length, y + 22, f"{value:,.1f} {unit}", "faint"))
    return _page(parts, _TOP + len(bars) * (_BAR_HEIGHT + 12) + 10)


def _line(series: Series, places: Sequence[tuple[float, float]]) -> list[str]:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3"/>' for x, y in places)
    return [f'<g class="{series.look}"><polyline stroke-dasharray="{series.dash}" points="{path}"/>{dots}</g>']


def _key(series: Series, x: float, y: float) -> list[str]:
    line = (
        f'<line class="key {series.look}" stroke-dasharray="{series.dash}" x1="{x}" x2="{x + 30}" y1="{y}" y2="{y}"/>'
    )
    return [line, _text(x + 38, y + 4, series.name, "text")]


def _text(x: float, y: float, text: str, look: str, anchor: str = "start") -> str:
    return f'<text class="{look}" text-anchor="{anchor}" x="{x:.1f}" y="{y:.1f}">{escape(text)}</text>'


def _page(parts: Sequence[str], height: float) -> str:
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img">'
    page = f'<rect class="page" width="{_WIDTH}" height="{height}" rx="6"/>'
    return "\n".join((head, f"<style>{_STYLE}</style>", page, *parts, "</svg>", ""))
