"""A terminal as a picture that moves: an SVG whose lines appear one after the other, without a script or a request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

COLUMNS = 100
_LINE, _LETTER, _MARGIN = 19, 8.43, 16
_STILL_SECONDS = 5.0

_STYLE = """\
.screen{{fill:#161b22}}text{{font:14px/1 ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace;fill:#c9d1d9;\
white-space:pre}}.typed{{fill:#7ee787}}.said{{fill:#8b949e}}
g{{animation:{seconds}s infinite step-end both}}
{appearing}
@media (prefers-reduced-motion:reduce){{g{{animation:none!important;opacity:1}}}}"""


@dataclass(frozen=True)
class Line:
    """A line of the terminal, and when it appears. `kind` is `typed`, `printed`, or `said` for what is an aside."""

    text: str
    at: float
    kind: str = "printed"


def drawn(lines: Sequence[Line], title: str) -> str:
    """The picture. Lines appear at their time, the whole stands for some seconds, and it begins anew.

    Where nothing is animated, because somebody wants no motion or prints it, the whole is shown.
    """
    seconds = lines[-1].at + _STILL_SECONDS
    appearing = "\n".join(
        f"@keyframes l{number}{{0%{{opacity:0}}{line.at / seconds * 100:.2f}%,100%{{opacity:1}}}}"
        for number, line in enumerate(lines)
    )
    width, height = round(COLUMNS * _LETTER + 2 * _MARGIN), len(lines) * _LINE + 2 * _MARGIN
    shown = "\n".join(
        f'<g style="animation-name:l{number}"><text class="{line.kind}" xml:space="preserve" x="{_MARGIN}"'
        f' y="{_MARGIN + 14 + number * _LINE}">{escape(line.text)}</text></g>'
        for number, line in enumerate(lines)
    )
    style = _STYLE.format(seconds=f"{seconds:.1f}", appearing=appearing)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
        f' role="img">\n<title>{escape(title)}</title>\n<style>{style}</style>\n'
        f'<rect class="screen" width="{width}" height="{height}" rx="8"/>\n{shown}\n</svg>\n'
    )
