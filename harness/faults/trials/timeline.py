"""The picture of trials: how many operations ended how, around the time of the fault."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING

from harness.faults.trials.pace import SLICES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from harness.faults.trials.pace import Pace
    from harness.faults.trials.trial import Trial

__all__ = ["timeline"]

LEFT, RIGHT, HEIGHT, GAP, TOP = 330, 700, 26, 8, 30
COLOURS = {"ok": "#2f7d4f", "fail": "#b3152b", "unknown": "#c98a00"}
STYLE = "svg{color:#1f2328}@media(prefers-color-scheme:dark){svg{color:#e6edf3}}"
WORDS = {"ok": "succeeded", "fail": "failed", "unknown": "unknown"}


def timeline(trials: Iterable[Trial]) -> str:
    """
    Draw a lane for each trial, as SVG.

    Bars up are operations that succeeded in each slice of the trial; bars down are those that
    failed or whose outcome stayed unknown. The band is the fault.

    Args:
        trials: What is drawn, first one on top.
    """
    shown = [(trial, trial.pace) for trial in trials if trial.pace and trial.pace.seconds]
    height = TOP + len(shown) * (HEIGHT + GAP) + 10
    width = LEFT + RIGHT + 70
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img"',
        f'width="{width}" height="{height}" font-family="system-ui, sans-serif" font-size="11">',
        "<title>Operations before, during and after each fault</title>",
        f"<style>{STYLE}</style>",
        *_key(),
    ]
    for number, (trial, pace) in enumerate(shown):
        parts += _lane(trial, pace, TOP + number * (HEIGHT + GAP))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _key() -> Iterator[str]:
    for place, (outcome, colour) in enumerate(COLOURS.items()):
        left = LEFT + place * 110
        yield f'<rect x="{left}" y="8" width="10" height="10" fill="{colour}"/>'
        yield f'<text x="{left + 15}" y="17" fill="currentColor">{WORDS[outcome]}</text>'
    left = LEFT + len(COLOURS) * 110
    yield f'<rect x="{left}" y="8" width="10" height="10" fill="#888" opacity="0.3"/>'
    yield f'<text x="{left + 15}" y="17" fill="currentColor">the fault</text>'


def _lane(trial: Trial, pace: Pace, top: float) -> Iterator[str]:
    middle, room = top + HEIGHT * 0.6, HEIGHT * 0.6
    name = f"{trial.fault} · {trial.backend} · {trial.workload}"
    if trial.client != "andamios":
        name += f" · {trial.client}"
    yield f'<text x="{LEFT - 8}" y="{middle:.1f}" text-anchor="end" fill="currentColor">'
    yield f"{escape(name)}</text>"
    for strike in trial.strikes:
        left = LEFT + RIGHT * strike.began / pace.seconds
        wide = max(2.0, RIGHT * (strike.ended - strike.began) / pace.seconds)
        yield f'<rect x="{left:.1f}" y="{top}" width="{wide:.1f}" height="{HEIGHT}" fill="#888" '
        yield f'opacity="0.3"><title>{escape(strike.name)}</title></rect>'
    most = max(max(counts) for counts in pace.counts.values())
    for outcome, counts in pace.counts.items():
        tall = -room if outcome == "ok" else HEIGHT - room
        bars = "".join(_bars(counts, tall / most, middle))
        yield f'<path d="{bars}" fill="{COLOURS[outcome]}"/>'
    yield f'<text x="{LEFT + RIGHT + 6}" y="{middle:.1f}" fill="currentColor">'
    yield f"{pace.seconds:.1f} s</text>"


def _bars(counts: Iterable[int], scale: float, middle: float) -> Iterator[str]:
    wide = RIGHT / SLICES
    for place, count in enumerate(counts):
        if count:
            tall = math.copysign(max(1.0, abs(count * scale)), scale)
            yield f"M{LEFT + wide * place:.1f} {middle:.1f}h{wide:.1f}v{tall:.1f}h-{wide:.1f}z"
