"""Figures with small images: sets in rows, and images as the labels of an axis."""

from __future__ import annotations

from typing import Any

import matplotlib.pyplot as plt
import seaborn as sns
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.offsetbox import AnnotationBbox, OffsetImage
from matplotlib.patches import Rectangle
from torch import Tensor

INK = "gray_r"  # 0 is paper, 1 is ink


def plot_image_sets(
    images: Float[Tensor, "sets set_size height width"],
    *,
    odd: Tensor | None = None,
    ax: Axes | None = None,
) -> Axes:
    """Draw sets of images, one set a row.

    Args:
        images: Grey values from 0 (paper) to 1 (ink).
        odd: The place of each set's odd one, which gets a frame; no frames when left out.
        ax: Where to draw; a new figure when left out.

    Returns:
        The Axes drawn on.

    Raises:
        ValueError: If ``images`` has not four axes, or there is not one place for each set.

    Used in :doc:`/notebooks/42_odd_one_out`.
    """
    if images.ndim != 4:
        raise ValueError(
            f"images must have shape (sets, set_size, height, width), got {tuple(images.shape)}"
        )
    rows, columns, height, width = images.shape
    if odd is not None and odd.shape != (rows,):
        raise ValueError(f"odd must have shape ({rows},), got {tuple(odd.shape)}")
    ax = plt.subplots()[1] if ax is None else ax
    sheet = images.detach().permute(0, 2, 1, 3).reshape(rows * height, columns * width)
    place: dict[str, Any] = {"extent": (0, columns, rows, 0), "aspect": height / width}
    ax.imshow(sheet.cpu().numpy(), cmap=INK, vmin=0, vmax=1, **place)
    ax.grid(False)
    ax.set_xticks([n + 0.5 for n in range(columns)], [str(n) for n in range(columns)])
    ax.set_yticks([n + 0.5 for n in range(rows)], [str(n + 1) for n in range(rows)])
    ax.tick_params(left=False, bottom=False)
    ax.hlines(range(rows + 1), 0, columns, color="white", linewidth=3)
    for row, column in enumerate([] if odd is None else odd.tolist()):
        frame = Rectangle(
            (column + 0.04, row + 0.04), 0.92, 0.92, fill=False, color=_odd_colour(), linewidth=2
        )
        ax.add_patch(frame)
    return ax


def label_with_images(
    ax: Axes,
    images: Float[Tensor, "set_size height width"],
    *,
    odd: int | None = None,
    zoom: float = 1.8,
) -> Axes:
    """Put images in the place of the tick labels of an attention map, on both axes.

    Args:
        ax: Axes that :func:`tutorial_lib.plotting.plot_attention_map` has drawn on.
        images: The images that are queries and keys, grey values from 0 to 1.
        odd: The place of the odd one, which gets a frame; no frame when left out.
        zoom: Size of an image's pixel in points.

    Returns:
        The Axes drawn on.

    Raises:
        ValueError: If ``images`` has not three axes.

    Used in :doc:`/notebooks/42_odd_one_out`.
    """
    if images.ndim != 3:
        raise ValueError(
            f"images must have shape (set_size, height, width), got {tuple(images.shape)}"
        )
    ax.set_xticks([])
    ax.set_yticks([])
    ax.xaxis.labelpad = ax.yaxis.labelpad = 4 + zoom * images.shape[-1]
    below: dict[str, Any] = {"xycoords": ax.get_xaxis_transform(), "box_alignment": (0.5, 1.15)}
    left: dict[str, Any] = {"xycoords": ax.get_yaxis_transform(), "box_alignment": (1.15, 0.5)}
    for number, image in enumerate(images.detach().cpu().numpy()):
        is_odd = number == odd
        look = {"edgecolor": _odd_colour() if is_odd else "white", "linewidth": 2 * is_odd}
        for spot, where in (((number + 0.5, 0), below), ((0, number + 0.5), left)):
            picture = OffsetImage(image, zoom=zoom, cmap=INK, interpolation="nearest")
            picture.image.set_clim(0, 1)
            ax.add_artist(AnnotationBbox(picture, spot, pad=0.1, bboxprops=look, **where))
    return ax


def _odd_colour() -> tuple[float, ...]:
    return sns.color_palette("colorblind")[3]
