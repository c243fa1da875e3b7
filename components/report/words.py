"""How figures and names are written for people."""

import math
import re
from datetime import UTC, datetime
from typing import TypeGuard

ABSENT, _MINUS = "\N{EN DASH}", "\N{MINUS SIGN}"
_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\ufeff]+")
SYSTEMS = {
    "funnel": "funnel",
    "last_release": "last release",
    "recall_only": "recall only",
    "item_to_item": "item to item",
    "popularity": "popularity",
    "random": "random",
}


def compact(value: float) -> str:
    """1234567 → 1.2M."""
    for size, sign in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:.1f}".removesuffix(".0") + sign
    return f"{value:g}"


def duration(seconds: float) -> str:
    """0.34 s, 12.3 s, 5 min 09 s, 2 h 05 min."""
    if seconds < 1:
        return f"{seconds:.2f} s"
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"


def count(value: int) -> str:
    return f"{value:,}"


def is_finite(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)


def decimal(value: float | None, digits: int = 4) -> str:
    return f"{value:.{digits}f}" if is_finite(value) else ABSENT


def percent(share: float, digits: int = 1) -> str:
    return f"{100 * share:.{digits}f} %"


def change(share: float) -> str:
    """A relative change with its sign: +6.6 %."""
    return f"{100 * share:+.1f} %".replace("-", _MINUS)


def signed(value: float) -> str:
    return f"{value:+.4f}".replace("-", _MINUS)


def utc_minute(timestamp_ms: int) -> str:
    return datetime.fromtimestamp(timestamp_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")


def utc_second(timestamp_ms: int) -> str:
    return datetime.fromtimestamp(timestamp_ms / 1000, UTC).strftime("%H:%M:%S")


def shortened(text: str, length: int = 30) -> str:
    """One line without control characters, cut at ``length``."""
    text = _UNPRINTABLE.sub(" ", text).strip()
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"


def system_label(system: str) -> str:
    return SYSTEMS.get(system, shortened(system, 20))


def metric_label(metric: str) -> str:
    """ndcg_at_10 and ndcg@10 → NDCG@10."""
    name, _, k = metric.replace("_at_", "@").partition("@")
    short = {"ndcg": "NDCG", "mrr": "MRR", "auc": "AUC", "gini": "Gini", "hit_rate": "Hit rate"}
    written = short.get(name, name.replace("_", " ").capitalize())
    return f"{written}@{k}" if k else written
