"""Charts as inline SVG: pure functions of numbers and texts. Colours are classes that the page's style sheet fills in
for light, dark and print; each chart says in `title` and `desc` what it shows, and the page has the numbers beside it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from app.web.words import number_text, printable, short

WIDTH = 640
ROW = 22
LABEL_WIDTH = 200
MARGIN = 46
SIDE = 320


@dataclass(frozen=True, slots=True)
class IntervalRow:
    label: str
    value: float | None
    low: float | None
    high: float | None
    is_main: bool = False


def _svg(width: float, height: float, title: str, description: str, parts: Iterable[Markup]) -> Markup:
    body = Markup("").join(parts)
    return Markup(
        '<svg xmlns="http://www.w3.org/2000/svg" role="img" viewBox="0 0 {:.0f} {:.0f}" width="{:.0f}" height="{:.0f}">'
        "<title>{}</title><desc>{}</desc>{}</svg>"
    ).format(width, height, width, height, printable(title), printable(description), body)


def _line(x1: float, y1: float, x2: float, y2: float, css: str) -> Markup:
    return Markup('<line x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}" class="{}"/>').format(
        x1, y1, x2, y2, css
    )


def _dot(x: float, y: float, radius: float, css: str) -> Markup:
    return Markup('<circle cx="{:.1f}" cy="{:.1f}" r="{:.1f}" class="{}"/>').format(x, y, radius, css)


def _box(x: float, y: float, width: float, height: float, css: str) -> Markup:
    return Markup('<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" class="{}"/>').format(
        x, y, max(width, 0.0), max(height, 0.0), css
    )


def _text(x: float, y: float, text: str, anchor: str = "start") -> Markup:
    return Markup('<text x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>').format(
        x, y, anchor, escape(printable(text))
    )


@dataclass(frozen=True, slots=True)
class _Scale:
    """From values to pixels; a range of nothing is put in the middle."""

    low: float
    high: float
    start: float
    stop: float

    def __call__(self, value: float) -> float:
        span = self.high - self.low
        share = 0.5 if span <= 0 else (value - self.low) / span
        return self.start + min(1.0, max(0.0, share)) * (self.stop - self.start)

    @property
    def ticks(self) -> list[float]:
        """Round numbers in the range, four to ten of them; its ends where there are none (nothing, or infinity)."""
        span = self.high - self.low
        if not (0.0 < span < math.inf):
            return sorted({self.low, self.high})
        power = 10.0 ** math.floor(math.log10(span))
        step = next(step for step in (power / 5, power / 2, power) if span / step <= 10)
        first = math.ceil(self.low / step)
        return [step * place for place in range(first, first + 11) if step * place <= self.high]


def _padded(values: Sequence[float], start: float, stop: float) -> _Scale:
    low, high = min(values), max(values)
    # Halves first: the span of two huge numbers of opposite sign is infinite.
    gap = (high / 2 - low / 2) * 0.1 or abs(low) * 0.05 or 0.5
    return _Scale(low - gap, high + gap, start, stop)


def intervals(
    title: str, description: str, rows: Sequence[IntervalRow], reference: float | None = None
) -> Markup:
    """A line and a dot per row, one below the other; `reference` is a vertical line, such as no skill."""
    known = [row for row in rows if row.value is not None]
    if not known:
        return Markup("")
    ends = [end for row in known for end in (row.value, row.low, row.high) if end is not None]
    scale = _padded([*ends, *([] if reference is None else [reference])], LABEL_WIDTH + 10, WIDTH - 60)
    height = ROW * len(known) + 30
    parts = [_text(scale(tick), height - 6, number_text(_round(tick)), "middle") for tick in scale.ticks]
    parts += [_line(scale(tick), 4, scale(tick), height - 22, "grid") for tick in scale.ticks]
    if reference is not None:
        parts.append(_line(scale(reference), 4, scale(reference), height - 22, "guide"))
    for place, row in enumerate(known):
        assert row.value is not None
        y = ROW * place + 16
        css = "main" if row.is_main else "rival"
        parts.append(_text(LABEL_WIDTH, y + 4, short(row.label, 34), "end"))
        if row.low is not None and row.high is not None:
            parts.append(_line(scale(row.low), y, scale(row.high), y, f"{css}-line"))
        parts.append(_dot(scale(row.value), y, 4.5, css))
    return _svg(WIDTH, height, title, description, parts)


def bars(title: str, description: str, rows: Sequence[tuple[str, float, float | None]]) -> Markup:
    """(label, value, reach of a whisker or None) per row; values may be negative."""
    if not rows:
        return Markup("")
    ends = [0.0, *(value + sign * (reach or 0.0) for _, value, reach in rows for sign in (-1, 1))]
    scale = _Scale(min(ends), max(ends), LABEL_WIDTH + 10, WIDTH - 70)
    height = ROW * len(rows) + 8
    parts = []
    for place, (label, value, reach) in enumerate(rows):
        y = ROW * place + 6
        zero, end = scale(0.0), scale(value)
        parts.append(_text(LABEL_WIDTH, y + 12, short(label, 34), "end"))
        parts.append(_box(min(zero, end), y + 1, abs(end - zero), ROW - 8, "main"))
        if reach is not None:
            parts.append(_line(scale(value - reach), y + 8, scale(value + reach), y + 8, "whisker"))
        parts.append(_text(WIDTH - 62, y + 12, number_text(_round(value))))
    parts.append(_line(scale(0.0), 2, scale(0.0), height - 2, "axis"))
    return _svg(WIDTH, height, title, description, parts)


def _frame(x: _Scale, y: _Scale, x_label: str, y_label: str) -> list[Markup]:
    parts = [
        _line(x.start, y.start, x.stop, y.start, "axis"),
        _line(x.start, y.start, x.start, y.stop, "axis"),
    ]
    for tick in x.ticks:
        parts.append(_line(x(tick), y.start, x(tick), y.stop, "grid"))
        parts.append(_text(x(tick), y.start + 16, number_text(_round(tick)), "middle"))
    for tick in y.ticks:
        parts.append(_line(x.start, y(tick), x.stop, y(tick), "grid"))
        parts.append(_text(x.start - 5, y(tick) + 4, number_text(_round(tick)), "end"))
    parts.append(_text((x.start + x.stop) / 2, y.start + 34, x_label, "middle"))
    parts.append(_text(x.start - MARGIN, y.stop - 8, y_label))
    return parts


def calibration(title: str, description: str, points: Sequence[tuple[float, float, float, float]]) -> Markup:
    """(predicted, observed, low, high) per bin, beside the diagonal of a perfect forecast."""
    x, y = _Scale(0.0, 1.0, MARGIN + 6, SIDE), _Scale(0.0, 1.0, SIDE - 40, 24)
    parts = [*_frame(x, y, "Predicted probability", "Observed share"), _line(x(0), y(0), x(1), y(1), "guide")]
    for predicted, observed, low, high in points:
        parts.append(_line(x(predicted), y(low), x(predicted), y(high), "main-line"))
        parts.append(_dot(x(predicted), y(observed), 4.5, "main"))
    return _svg(SIDE + 20, SIDE, title, description, parts)


def scatter(
    title: str,
    description: str,
    points: Sequence[tuple[float, float]],
    *,
    x_label: str,
    y_label: str,
    guide: str,
) -> Markup:
    """Dots with a guide: `diagonal` (x = y, on one scale for both) or `zero` (y = 0)."""
    if not points:
        return Markup("")
    across, up = [point[0] for point in points], [point[1] for point in points]
    if guide == "diagonal":
        across = up = [*across, *up]
    else:
        up = [*up, 0.0]
    x, y = _padded(across, MARGIN + 26, SIDE + 60), _padded(up, SIDE - 40, 24)
    line = (
        _line(x(x.low), y(x.low), x(x.high), y(x.high), "guide")
        if guide == "diagonal"
        else _line(x.start, y(0.0), x.stop, y(0.0), "guide")
    )
    # On whole pixels: what a row's label is to a digit is not for every reader.
    dots = [_dot(round(x(px)), round(y(py)), 2.0, "point") for px, py in points]
    return _svg(SIDE + 80, SIDE, title, description, [*_frame(x, y, x_label, y_label), *dots, line])


def curve(
    title: str, description: str, points: Sequence[tuple[float, float]], *, x_label: str, y_label: str
) -> Markup:
    """Points joined by a line, in the order of x."""
    if len(points) < 2:
        return Markup("")
    x = _Scale(min(p[0] for p in points), max(p[0] for p in points), MARGIN + 16, WIDTH - 30)
    y = _padded([p[1] for p in points], 180, 24)
    path = " ".join(f"{x(px):.1f},{y(py):.1f}" for px, py in points)
    parts = [*_frame(x, y, x_label, y_label), Markup('<polyline points="{}" class="trace"/>').format(path)]
    return _svg(WIDTH, 222, title, description, parts)


def spread(title: str, quantiles: Sequence[float]) -> Markup:
    """A small box plot of the ends, the middle half and the median: five ascending numbers."""
    scale = _Scale(quantiles[0], quantiles[-1], 3, 157)
    least, low, middle, high, most = (scale(value) for value in quantiles)
    parts = [
        _line(least, 10, most, 10, "rival-line"),
        _box(low, 4, max(high - low, 1.0), 12, "main"),
        _line(middle, 3, middle, 17, "middle"),
    ]
    return _svg(
        160, 20, title, "From the least to the greatest value; box: middle half; line: median.", parts
    )


def shares(title: str, parts_of: Sequence[float]) -> Markup:
    """A small bar divided by shares that add up to at most 1."""
    start, parts = 0.0, []
    for place, share in enumerate(parts_of):
        parts.append(_box(start * 160, 4, share * 160 - 1, 12, "main" if place % 2 == 0 else "rival"))
        start += share
    return _svg(160, 20, title, "Shares of the most frequent values, side by side.", parts)


def _round(value: float) -> float:
    """Enough digits for an axis."""
    return float(f"{value:.3g}")
