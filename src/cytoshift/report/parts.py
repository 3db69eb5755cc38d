"""Pieces that pages share: tables of settings, viewers with a slider, times, texts to copy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..core.papers import library
from ..core.progress import format_duration
from .methods_text import size_text
from .pictures import Picture

SHOWN = 12  # images in the table of the input


@dataclass(frozen=True)
class Image:
    """A picture of a viewer, with layers to lay over it by their name, and words for where it is."""

    picture: Picture
    words: str
    layers: Mapping[str, Picture] = field(default_factory=dict)


@dataclass(frozen=True)
class Viewer:
    """One picture after the other, moved through by a slider. what: "plane" or "step"; start: which is shown first."""

    key: str  # fit for an id
    what: str
    frames: Sequence[Image]
    start: int
    title: str = ""
    note: str = ""
    left_out: int = 0
    names: Mapping[str, str] = field(default_factory=dict)  # of layers, in words

    @property
    def layers(self) -> list[str]:
        return list(dict.fromkeys(name for one in self.frames for name in one.layers))


@dataclass(frozen=True)
class CopyText:
    """A text with a button that copies it."""

    key: str
    text: str


def copy_entries(keys: tuple[str, ...]) -> list[CopyText]:
    """The entries, to be copied from a page."""
    return [CopyText(key, library()[key]) for key in keys]


@dataclass(frozen=True)
class Time:
    """Seconds by stage, the longest part of them, and what the process held."""

    stages: Sequence[tuple[str, str, float]]  # name, in words, share of the whole
    total: str
    memory: str
    sessions: int

    @classmethod
    def of_sessions(cls, sessions: Sequence[Mapping[str, Any]]) -> "Time | None":
        """Of a training that may have been stopped and continued."""
        seconds: dict[str, float] = {}
        for session in sessions:
            for name, value in session.get("seconds", {}).items():
                seconds[name] = seconds.get(name, 0.0) + float(value)
        return cls.of(seconds, peak_memory_text(sessions), len(sessions))

    @classmethod
    def of(cls, seconds: Mapping[str, float], memory: str, sessions: int = 1) -> "Time | None":
        total = sum(seconds.values())
        if not total:
            return None
        rows = [(name, format_time(value), value / total) for name, value in seconds.items() if value > 0]
        return cls(rows, format_time(total), memory, sessions)


def peak_memory_text(told: Sequence[Mapping[str, Any]]) -> str:
    """Most memory of several processes, in words."""
    held, cards = (max((one.get(key) or 0.0 for one in told), default=0.0) for key in ("memory_gb", "card_gb"))
    words = [f"{held:.2f} GB of memory"] * bool(held) + [f"{cards:.2f} GB on a card"] * bool(cards)
    return " and ".join(words)


def format_time(seconds: float) -> str:
    """A time for reading; short ones have parts of seconds."""
    return f"{seconds:.2g} s" if seconds < 10 else format_duration(seconds)


def flatten_settings(tree: Any, key: str = "") -> list[tuple[str, str]]:
    """Nested settings as rows of "group.key" and value; what is not set is left out."""
    if isinstance(tree, Mapping):
        return [
            row
            for name, value in tree.items()
            for row in flatten_settings(value, f"{key}.{name}" if key else str(name))
        ]
    if isinstance(tree, list | tuple) and any(isinstance(value, Mapping) for value in tree):
        return [row for number, value in enumerate(tree) for row in flatten_settings(value, f"{key}.{number}")]
    if tree is None or tree == []:
        return []
    if isinstance(tree, list | tuple):
        return [(key, ", ".join(plain_value(value) for value in tree))]
    return [(key, plain_value(tree))]


def plain_value(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def describe_inputs(images: Mapping[str, Any], title: str, picture: Picture | None) -> dict[str, Any] | None:
    """What was understood of some images; None where nothing was written down."""
    each = images.get("each", [])
    if not each:
        return None
    rows = [
        {
            "name": one["name"], "axes": one["axes"], "shape": " × ".join(map(str, one["shape"])),
            "voxel": size_text(one["voxel"], one["unit"]), "dtype": one["dtype"], "channels": one.get("channels", 1),
            "origin": one["origin"],
        }
        for one in each[:SHOWN]
    ]  # fmt: skip
    return {"title": title, "rows": rows, "more": images["count"] - len(rows), "picture": picture,
            "count": images["count"]}  # fmt: skip
