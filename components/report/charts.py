"""The charts of the page, one function a chart. Each takes plain values and gives an ``<svg>`` element.

Titles stand in the page, not in the picture. A chart is as wide as half the page, and so still readable on a phone.
"""

from collections.abc import Mapping, Sequence
from datetime import date

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter, PercentFormatter

from components.report.svg import GRID, INK, MUTED, SMALL_PX, svg
from components.report.words import compact, duration, shortened, system_label
from components.schema.events import EPOCH

WIDTH, SMALL_WIDTH = 460, 310
BAR_HEIGHT = 24
ACCENT, GOOD, BAD, PALE = "#2563eb", "#15803d", "#b91c1c", "#cbd5e1"
SYSTEM_COLOURS = {
    "funnel": ACCENT,
    "last_release": "#db2777",
    "recall_only": "#f59e0b",
    "item_to_item": "#94a3b8",
    "popularity": PALE,
    "random": "#e2e8f0",
}
SERIES_COLOURS = ("#3b82f6", "#f59e0b", "#0d9488", "#db2777", "#7c3aed", "#65a30d", "#0ea5e9", "#94a3b8")
COUNT = FuncFormatter(lambda value, _: compact(value))


def system_bars(
    name: str,
    metric: str,
    values: Mapping[str, float],
    intervals: Mapping[str, tuple[float, float]],
    small: bool = False,
) -> str:
    """One bar a system, with its confidence interval where there is one."""

    def draw(axes: Axes) -> None:
        systems = list(values)
        found = [values[system] for system in systems]
        colours = [SYSTEM_COLOURS.get(system, PALE) for system in systems]
        axes.barh(systems, found, color=colours, height=0.66)
        ends = [max(value, intervals.get(system, (0, value))[1]) for system, value in zip(systems, found, strict=True)]
        for place, system in enumerate(systems):
            if system in intervals:
                axes.plot(intervals[system], [place, place], color=INK, linewidth=1.6, solid_capstyle="butt")
        margin = max([*ends, 0.0]) * 0.015
        for place, (end, value) in enumerate(zip(ends, found, strict=True)):
            weight = "bold" if systems[place] == "funnel" else "normal"
            axes.text(max(end, 0) + margin, place, f"{value:.3f}", va="center", fontsize=SMALL_PX, fontweight=weight)
        axes.set_yticks(range(len(systems)), [system_label(system) for system in systems], color=INK)
        axes.set_xlim(min([*found, 0.0]), (max([*ends, 0.0]) or 1.0) * 1.16)
        axes.xaxis.set_major_locator(MaxNLocator(4 if small else 6))
        _rows(axes, len(systems))
        if not small:
            axes.set_xlabel(metric)

    shown = ", ".join(
        f"{system_label(system)} {value:.4f}"
        + (f" (95 % interval {intervals[system][0]:.4f} to {intervals[system][1]:.4f})" if system in intervals else "")
        for system, value in values.items()
    )
    height = 22 * len(values) + 34 if small else 34 * len(values) + 52
    return svg(name, f"Bar chart of {metric}: {shown}.", (SMALL_WIDTH if small else WIDTH, height), draw)


def slice_bars(
    name: str, column: str, rows: Sequence[tuple[str, int, Mapping[str, float]]], metric: str, overall: float
) -> str:
    """The funnel's metric in each slice as bars, the other systems as dots, the mean of all as a line.

    Args:
      rows: of each slice its label, its number of queries, and each system's value.
    """

    def draw(axes: Axes) -> None:
        places = range(len(rows))
        axes.barh(places, [values.get("funnel", 0.0) for _, _, values in rows], color=ACCENT, height=0.6)
        for system in ("last_release", "recall_only", "popularity"):
            dots = [(values[system], place) for place, (_, _, values) in enumerate(rows) if system in values]
            if dots:
                x, y = zip(*dots, strict=True)
                face = "white" if system == "popularity" else SYSTEM_COLOURS[system]
                axes.scatter(x, y, s=38, color=face, edgecolors=[INK], linewidths=1, zorder=3, label=system_label(system))
        axes.axvline(overall, color=INK, linewidth=1.1, linestyle=(0, (4, 3)), label="funnel, all")
        axes.set_yticks(places, [f"{shortened(label, 22)} ({compact(count)})" for label, count, _ in rows], color=INK)
        axes.set_xlabel(metric)
        axes.set_xlim(left=0)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        _rows(axes, len(rows))
        _legend_above(axes, 4)

    shown = ", ".join(f"{label} {values.get('funnel', 0.0):.3f}" for label, _, values in rows)
    label = f"{metric} of the funnel by {column}: {shown}; {overall:.3f} over all."
    return svg(name, label, (WIDTH, BAR_HEIGHT * len(rows) + 84), draw)


def calibration(name: str, task: str, prob: Sequence[float], rate: Sequence[float], count: Sequence[int]) -> str:
    """Observed rate against predicted probability; a dot's area grows with its number of samples."""

    def draw(axes: Axes) -> None:
        most = max([*count, 1])
        # Both axes end where the data do: rare events live in a corner of the unit square.
        edge = min(1.0, max([*prob, *rate, 0.05]) * 1.1)
        axes.plot([0, edge], [0, edge], color=MUTED, linewidth=1.1, linestyle=(0, (4, 3)), label="perfect")
        axes.plot(prob, rate, color=ACCENT, linewidth=1.4, alpha=0.6)
        axes.scatter(prob, rate, s=[12 + 150 * each / most for each in count], color=ACCENT, alpha=0.75, label=task)
        axes.set_xlim(0, edge)
        axes.set_ylim(0, edge)
        axes.set_aspect("equal")
        axes.set_xlabel("mean predicted probability")
        axes.set_ylabel("observed rate")

    shown = ", ".join(f"{p:.2f} → {r:.2f}" for p, r in zip(prob, rate, strict=True))
    return svg(name, f"Calibration of {task}, predicted → observed: {shown}.", (SMALL_WIDTH, SMALL_WIDTH), draw)


def learning_curves(name: str, measure: str, curves: Mapping[str, Sequence[float]], best_epoch: int) -> str:
    """Values after each epoch, with the epoch whose weights were kept."""

    def draw(axes: Axes) -> None:
        for (curve, values), colour in zip(curves.items(), SERIES_COLOURS, strict=False):
            axes.plot(range(1, len(values) + 1), values, color=colour, marker="o", markersize=3.5, label=curve)
        axes.axvline(best_epoch, color=GOOD, linewidth=1.2, linestyle=(0, (4, 3)), label=f"best: epoch {best_epoch}")
        axes.xaxis.set_major_locator(MaxNLocator(6, integer=True, min_n_ticks=1))
        axes.yaxis.set_major_locator(MaxNLocator(5))
        axes.set_xlabel("epoch")
        axes.set_ylabel(measure)
        _legend_above(axes, 2)

    shown = "; ".join(f"{curve} {', '.join(f'{value:.4g}' for value in values)}" for curve, values in curves.items())
    legend_rows = (len(curves) + 2) // 2
    return svg(name, f"{measure} by epoch, best {best_epoch}: {shown}.", (SMALL_WIDTH, 190 + 18 * legend_rows), draw)


def index_recall(name: str, recall: float, gate: float) -> str:
    """The index's recall as a bar, with the line that it has to reach."""

    def draw(axes: Axes) -> None:
        start = max(0.0, min(recall, gate) - 0.1)
        axes.barh([0], [1 - start], left=start, color=GRID, height=0.5)
        axes.barh([0], [recall - start], left=start, color=GOOD if recall >= gate else BAD, height=0.5)
        axes.axvline(gate, color=INK, linewidth=2)
        axes.annotate(f"gate {gate:g}", (gate, 0.34), (-6, 0), textcoords="offset points", ha="right", fontsize=SMALL_PX)
        axes.set_xlim(start, 1)
        axes.set_ylim(-0.4, 0.7)
        axes.set_yticks([])
        axes.set_xlabel("recall@100 against the exact index")
        axes.spines["left"].set_visible(False)

    return svg(name, f"Recall@100 of the index {recall:.4f}, gate {gate:g}.", (WIDTH, 96), draw)


def timeline(
    name: str,
    measure: str,
    days: Sequence[date],
    series: Mapping[str, Sequence[float]],
    marks: Mapping[str, date],
    share: bool = False,
) -> str:
    """Values by day: an area if there is one series, stacked areas if there are more.

    Args:
      marks: moments to draw a line at, by their names; share: the values are shares of 1.
    """

    def draw(axes: Axes) -> None:
        x = [_place(day) for day in days]
        x.append(x[-1] + (x[1] - x[0] if len(x) > 1 else 1))  # a day is as wide as the one before it
        steps = [[*values, values[-1]] for values in series.values()]
        axes.xaxis_date()
        axes.stackplot(x, *steps, labels=list(series), colors=SERIES_COLOURS, alpha=0.85, linewidth=0, step="post")
        axes.set_xlim(x[0], x[-1])
        axes.set_ylim(bottom=0)
        for place, (mark, day) in enumerate(marks.items()):
            axes.axvline(_place(day), color=INK, linewidth=1, linestyle=(0, (4, 3)))
            axes.annotate(mark, (_place(day), 1), (3, -2 - 13 * place), xycoords=("data", "axes fraction"),
                          textcoords="offset points", va="top", fontsize=SMALL_PX)  # fmt: skip
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0) if share else COUNT)
        axes.set_ylabel(measure)
        if len(series) > 1:
            _legend_above(axes, 4)

    shown = "; ".join(f"{each}: least {min(values):.4g}, most {max(values):.4g}" for each, values in series.items())
    return svg(name, f"{measure}, {days[0]} to {days[-1]}: {shown}.", (WIDTH, 240), draw)


def top_items(name: str, rows: Sequence[tuple[str, Mapping[str, int]]]) -> str:
    """Events of the most popular items, stacked by type."""

    def draw(axes: Axes) -> None:
        types = list(dict.fromkeys(each for _, counts in rows for each in counts))
        left = [0] * len(rows)
        for place, each in enumerate(types):
            widths = [counts.get(each, 0) for _, counts in rows]
            colour = SERIES_COLOURS[place % len(SERIES_COLOURS)]
            axes.barh(range(len(rows)), widths, left=left, color=colour, height=0.66, label=shortened(each, 18))
            left = [start + width for start, width in zip(left, widths, strict=True)]
        axes.set_yticks(range(len(rows)), [shortened(title) for title, _ in rows], color=INK)
        axes.xaxis.set_major_formatter(COUNT)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        axes.set_xlabel("events")
        _rows(axes, len(rows))
        if len(types) > 1:
            _legend_above(axes, 4)

    shown = ", ".join(f"{shortened(title)} {sum(counts.values()):,}" for title, counts in rows)
    return svg(name, f"Items with the most events: {shown}.", (WIDTH, BAR_HEIGHT * len(rows) + 70), draw)


def long_tail(name: str, rank: Sequence[int], event_count: Sequence[int]) -> str:
    """Events of an item against its rank, both axes logarithmic."""

    def draw(axes: Axes) -> None:
        axes.loglog(rank, event_count, color=ACCENT)
        axes.fill_between(rank, event_count, 0.8, color=ACCENT, alpha=0.12, linewidth=0)
        axes.set_ylim(bottom=0.8)
        axes.set_xlim(1, max(rank[-1], 2))
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_locator(LogLocator(numticks=7))
            axis.set_major_formatter(COUNT)
            axis.set_minor_formatter(NullFormatter())
        axes.set_xlabel("rank of the item")
        axes.set_ylabel("events")

    label = f"Long tail: {event_count[0]:,} events for the first item, {event_count[-1]:,} for the last of {rank[-1]:,}."
    return svg(name, label, (WIDTH, 240), draw)


def ranking_slices(name: str, metric: str, rows: Sequence[tuple[str, int, float]], overall: float | None) -> str:
    """A metric of the ranker as a dot in each slice, and over all samples as a line.

    Args:
      rows: of each slice its label, its number of samples, and the value.
    """

    def draw(axes: Axes) -> None:
        values = [value for _, _, value in rows]
        low = min([*values, overall if overall is not None else 1.0])
        axes.hlines(range(len(rows)), overall if overall is not None else low, values, color=PALE, linewidth=2)
        axes.scatter(values, range(len(rows)), color=ACCENT, s=34, zorder=3)
        if overall is not None:
            axes.axvline(overall, color=INK, linewidth=1.1, linestyle=(0, (4, 3)), label=f"all samples {overall:.3f}")
            _legend_above(axes, 1)
        axes.set_yticks(range(len(rows)), [f"{shortened(label, 26)} ({compact(count)})" for label, count, _ in rows], color=INK)
        axes.set_xlabel(metric)
        axes.xaxis.set_major_locator(MaxNLocator(5))
        _rows(axes, len(rows))

    shown = ", ".join(f"{label} {value:.3f}" for label, _, value in rows)
    return svg(name, f"{metric} by slice: {shown}.", (WIDTH, 21 * len(rows) + 76), draw)


def timings(name: str, rows: Sequence[tuple[str, float, str]]) -> str:
    """Seconds of each node; what was reused or failed says so.

    Args:
      rows: of each node its name, its seconds and its state.
    """

    def draw(axes: Axes) -> None:
        colours = {"failed": BAD, "reused": PALE}
        axes.barh(range(len(rows)), [seconds for _, seconds, _ in rows], height=0.66,
                  color=[colours.get(state, ACCENT) for _, _, state in rows])  # fmt: skip
        longest = max([seconds for _, seconds, _ in rows] + [1e-3])
        for place, (_, seconds, state) in enumerate(rows):
            text = duration(seconds) if state == "complete" else state
            axes.text(seconds + longest * 0.015, place, text, va="center", fontsize=SMALL_PX)
        axes.set_yticks(range(len(rows)), [node for node, _, _ in rows], color=INK)
        axes.set_xlim(0, longest * 1.2)
        axes.set_xlabel("seconds")
        _rows(axes, len(rows))

    shown = ", ".join(f"{node} {duration(seconds) if state == 'complete' else state}" for node, seconds, state in rows)
    return svg(name, f"Time of each node: {shown}.", (WIDTH, BAR_HEIGHT * len(rows) + 52), draw)


def _place(day: date) -> float:
    """On matplotlib's axis of dates."""
    return float((day - EPOCH).days)


def _rows(axes: Axes, count: int) -> None:
    """First row on top; only the vertical lines of the grid."""
    axes.set_ylim(count - 0.4, -0.6)
    axes.grid(False, axis="y")
    axes.spines["left"].set_visible(False)


def _legend_above(axes: Axes, columns: int) -> None:
    axes.legend(
        loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=columns, handlelength=1.2, columnspacing=1.2, borderpad=0.2
    )
