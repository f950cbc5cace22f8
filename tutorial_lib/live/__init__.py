"""Figures to touch, on the site and in a notebook: :func:`tutorial_lib.live.figure.live_figure`."""
