"""One call that puts a figure to touch under a cell."""

from __future__ import annotations

import html
import json
from pathlib import Path
from typing import Any

SCRIPTS = Path(__file__).parent / "scripts"
SHARED = ("numbers", "drawing", "network", "element")  # what every figure needs
FIGURES = sorted(path.stem for path in SCRIPTS.glob("*.js") if path.stem not in SHARED)


class LiveFigure:
    """What :func:`live_figure` gives; a notebook displays it."""

    def __init__(self, name: str, alt: str, data: dict[str, Any]) -> None:
        self.name = name
        self.alt = " ".join(alt.split())
        self.data = data

    def __repr__(self) -> str:
        """Say what the picture shows, where nothing but text is shown."""
        return f"A figure to touch: {self.alt}"

    def element(self) -> str:
        """Give the figure without the scripts that move it."""
        alt = html.escape(self.alt)
        data = json.dumps(self.data).replace("<", "\\u003c")
        return (
            f'<live-figure figure="{self.name}">'
            f'<div class="live-panels" role="img" aria-label="{alt}">{alt}</div>'
            f'<script type="application/json">{data}</script></live-figure>'
        )

    def _repr_html_(self) -> str:
        """Bring the scripts along, since a notebook's output has nobody to load them."""
        scripts = [f"(() => {{{script_of(name)}}})();" for name in scripts_of(self.name)]
        style = (SCRIPTS / "live.css").read_text("utf-8")
        return f"{self.element()}<style>{style}</style><script>{''.join(scripts)}</script>"


def live_figure(name: str, *, alt: str, **data: Any) -> LiveFigure:
    """Show a figure that one can drag, click and type in; everything runs in the browser.

    Args:
        name: The figure: "attention", "mask", "positions" and "schedule" come as they are, the
            others show a trained network.
        alt: What the picture shows before anybody touches it, for those who cannot see it.
        data: What the figure needs: the weights of a network, by
            :func:`tutorial_lib.live.weights.pack`, and what else its script asks for.

    Returns:
        The figure; as the last line of a cell it is displayed.

    Raises:
        ValueError: If there is no such figure, or ``alt`` is empty.
    """
    if name not in FIGURES:
        raise ValueError(f"name must be one of {', '.join(FIGURES)}, got {name!r}")
    if not alt.strip():
        raise ValueError("alt must say what the picture shows, got nothing")
    return LiveFigure(name, alt, data)


def scripts_of(name: str) -> list[str]:
    """List the scripts of a figure, in the order in which they are loaded."""
    *shared, element = SHARED
    return [*shared, name, element]


def script_of(name: str) -> str:
    """Give a script's text."""
    return (SCRIPTS / f"{name}.js").read_text("utf-8")
