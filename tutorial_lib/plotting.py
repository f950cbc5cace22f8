"""Figures: each function draws on Axes, returns them and never shows them.

Colours are safe for colour-blind readers: viridis where values run from low to high, purple to
orange where they run to both sides of a centre, seaborn's colorblind palette for lines.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import seaborn as sns
import torch
from jaxtyping import Float
from matplotlib.axes import Axes
from torch import Tensor

SEQUENTIAL, DIVERGING = "viridis", "PuOr"


def set_style() -> None:
    """Give every figure of a chapter the book's look; call it once, at the top.

    Figures keep a white ground, also on a dark page, so that their colours mean the same there.

    Used in every chapter, first in :doc:`/notebooks/11_scaled_dot_product_attention`.
    """
    sns.set_theme(context="notebook", style="ticks", palette="colorblind")
    plt.rcParams.update(
        {
            "axes.grid": True,
            "axes.spines.right": False,
            "axes.spines.top": False,
            "figure.constrained_layout.use": True,
            "figure.dpi": 144,
            "figure.facecolor": "white",
            "figure.figsize": (7.0, 3.6),
            "grid.alpha": 0.35,
            "legend.frameon": False,
        }
    )


def plot_matrix(
    matrix: Float[Tensor, "row column"],
    *,
    row_labels: Sequence[str] | None = None,
    column_labels: Sequence[str] | None = None,
    limits: tuple[float, float] | None = None,
    diverging: bool = False,
    annotate: bool = False,
    colorbar: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """Draw a matrix as coloured cells, row 0 on top.

    Args:
        matrix: The values.
        row_labels: A label for each row.
        column_labels: A label for each column.
        limits: Values of the two ends of the colour scale; the data's own when left out, and
            symmetric about 0 when ``diverging``.
        diverging: Whether the colours run to both sides of 0.
        annotate: Whether to write each value, to two decimals, into its cell.
        colorbar: Whether to draw the colour scale beside the matrix.
        ax: Where to draw; a new figure when left out.

    Returns:
        The Axes drawn on.

    Raises:
        ValueError: If ``matrix`` has not two axes, or the labels do not fit it.

    Used in :doc:`/notebooks/11_scaled_dot_product_attention`,
    :doc:`/notebooks/12_multi_head_attention`, :doc:`/notebooks/14_positional_encodings` and
    :doc:`/notebooks/21_encoder`.
    """
    values = _as_matrix(matrix, name="matrix")
    _require_labels(values.shape[0], row_labels=row_labels)
    _require_labels(values.shape[1], column_labels=column_labels)
    if limits is None:
        reach = np.abs(values).max()
        limits = (-reach, reach) if diverging else (values.min(), values.max())
    ax = plt.subplots()[1] if ax is None else ax
    sns.heatmap(
        values,
        ax=ax,
        cmap=DIVERGING if diverging else SEQUENTIAL,
        vmin=limits[0],
        vmax=limits[1],
        annot=annotate,
        fmt=".2f",
        cbar=colorbar,
        xticklabels="auto" if column_labels is None else list(column_labels),
        yticklabels="auto" if row_labels is None else list(row_labels),
    )
    ax.tick_params(left=False, bottom=False)
    ax.tick_params(axis="y", labelrotation=0)
    return ax


def plot_attention_map(
    weights: Float[Tensor, "query key"],
    *,
    query_labels: Sequence[str] | None = None,
    key_labels: Sequence[str] | None = None,
    annotate: bool = False,
    colorbar: bool = True,
    ax: Axes | None = None,
) -> Axes:
    """Draw one attention map: rows are queries, columns are keys, colours run from 0 to 1.

    Args:
        weights: How much each query attends to each key.
        query_labels: A label for each query.
        key_labels: A label for each key.
        annotate: Whether to write each weight, to two decimals, into its cell.
        colorbar: Whether to draw the colour scale beside the map.
        ax: Where to draw; a new figure when left out.

    Returns:
        The Axes drawn on.

    Raises:
        ValueError: If ``weights`` has not two axes, or the labels do not fit it.

    Used in :doc:`/notebooks/11_scaled_dot_product_attention`.
    """
    queries, keys = _as_matrix(weights, name="weights").shape
    _require_labels(queries, query_labels=query_labels)
    _require_labels(keys, key_labels=key_labels)
    ax = plot_matrix(
        weights,
        row_labels=query_labels,
        column_labels=key_labels,
        limits=(0.0, 1.0),
        annotate=annotate,
        colorbar=colorbar,
        ax=ax,
    )
    ax.set(xlabel="key: what is looked at", ylabel="query: what is looking", aspect="equal")
    return ax


def plot_attention_maps(
    maps: Sequence[Float[Tensor, "heads query key"]],
    *,
    labels: Sequence[str] | None = None,
    axes: np.ndarray | None = None,
) -> np.ndarray:
    """Draw the maps of a stack: a row of pictures for each layer, one picture for each head.

    Args:
        maps: The weights of one sequence, layer by layer.
        labels: A label for each token.
        axes: Where to draw, an array of Axes (layers, heads); a new figure when left out.

    Returns:
        The Axes drawn on, (layers, heads).

    Raises:
        ValueError: If ``maps`` is empty or holds tensors that are not of one shape with three
            axes, the labels do not fit them, or ``axes`` has not one place for each map.

    Used in :doc:`/notebooks/21_encoder`.
    """
    if not maps or maps[0].ndim != 3 or any(layer.shape != maps[0].shape for layer in maps):
        raise ValueError(
            f"maps must hold tensors of one shape (heads, query, key), one a layer, "
            f"got shapes {[tuple(layer.shape) for layer in maps]}"
        )
    for size in maps[0].shape[1:]:
        _require_labels(size, labels=labels)
    shape = len(maps), len(maps[0])
    if axes is None:
        size = (2.3 * shape[1] + 0.8, 2.3 * shape[0] + 0.4)
        axes = plt.subplots(*shape, figsize=size, squeeze=False, sharex=True, sharey=True)[1]
    if axes.shape != shape:
        raise ValueError(f"axes must have shape (layers, heads) = {shape}, got {axes.shape}")
    for layer, row in enumerate(axes):
        for head, ax in enumerate(row):
            plot_attention_map(
                maps[layer][head], query_labels=labels, key_labels=labels, colorbar=False, ax=ax
            )
            ax.set_title(f"layer {layer + 1}, head {head + 1}", fontsize="medium")
            ax.label_outer()
    mesh = axes[0, 0].collections[0]
    axes[0, 0].figure.colorbar(mesh, ax=axes, label="attention weight")
    return axes


def plot_runs(
    x: Sequence[float],
    runs: Float[Tensor, "run point"],
    *,
    label: str,
    ax: Axes | None = None,
    **line: Any,
) -> Axes:
    """Draw repeated runs as their median and the band from the lowest to the highest.

    Args:
        x: Where the points lie.
        runs: One row for each run (a seed, say).
        label: Name of the line in the legend.
        ax: Where to draw; a new figure when left out.
        line: More keyword arguments for ``Axes.plot``.

    Returns:
        The Axes drawn on.

    Raises:
        ValueError: If ``runs`` has not two axes, or not a point for each x.

    Used in :doc:`/notebooks/32_warmup_and_schedules`.
    """
    values = _as_matrix(runs, name="runs")
    if values.shape[1] != len(x):
        raise ValueError(f"runs must have {len(x)} points, one for each x, got {values.shape[1]}")
    ax = plt.subplots()[1] if ax is None else ax
    (drawn,) = ax.plot(x, np.median(values, axis=0), label=label, **line)
    ax.fill_between(x, values.min(axis=0), values.max(axis=0), color=drawn.get_color(), alpha=0.2)
    return ax


def _as_matrix(tensor: Tensor, *, name: str) -> np.ndarray:
    values = torch.as_tensor(tensor).detach().float().cpu().numpy()
    if values.ndim != 2:
        raise ValueError(f"{name} must have two axes, got shape {values.shape}")
    return values


def _require_labels(size: int, **labels: Sequence[str] | None) -> None:
    for name, given in labels.items():
        if given is not None and len(given) != size:
            raise ValueError(f"{name} must hold {size} labels, got {len(given)}")
