"""Images stand where they belong, and the odd one has the frame."""

from __future__ import annotations

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib.offsetbox import AnnotationBbox

from tutorial_lib.experiments.odd_one_out.thumbnails import label_with_images, plot_image_sets
from tutorial_lib.plotting import plot_attention_map


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_a_row_of_the_sheet_is_a_set_from_left_to_right():
    images = torch.rand(2, 3, 4, 5)
    ax = plot_image_sets(images, odd=torch.tensor([2, 0]))
    sheet = np.asarray(ax.images[0].get_array())
    assert sheet.shape == (8, 15)
    for row in range(2):
        for column in range(3):
            part = sheet[4 * row : 4 * row + 4, 5 * column : 5 * column + 5]
            np.testing.assert_array_equal(part, images[row, column].numpy())
    corners = [(patch.get_x() // 1, patch.get_y() // 1) for patch in ax.patches]
    assert corners == [(2, 0), (0, 1)]
    assert not plot_image_sets(images).patches


def test_images_label_both_axes_in_order_and_frame_the_odd_one():
    images = torch.rand(3, 4, 4)
    ax = plot_attention_map(torch.full((3, 3), 1 / 3))
    assert label_with_images(ax, images, odd=1) is ax
    boxes = [child for child in ax.get_children() if isinstance(child, AnnotationBbox)]
    assert [box.xy for box in boxes] == [
        spot for n in range(3) for spot in ((n + 0.5, 0), (0, n + 0.5))
    ]
    for number, box in enumerate(boxes):
        shown = np.asarray(box.offsetbox.image.get_array())
        np.testing.assert_array_equal(shown, images[number // 2].numpy())
        assert bool(box.patch.get_linewidth()) == (number // 2 == 1)
    assert not list(ax.get_xticks()) + list(ax.get_yticks())


@pytest.mark.usefixtures("unchecked_shapes")
def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"images must have shape \(sets, .*got \(3, 4, 4\)"):
        plot_image_sets(torch.zeros(3, 4, 4))
    with pytest.raises(ValueError, match=r"odd must have shape \(2,\), got \(3,\)"):
        plot_image_sets(torch.zeros(2, 3, 4, 4), odd=torch.zeros(3))
    with pytest.raises(ValueError, match=r"images must have shape \(set_size, .*got \(4, 4\)"):
        label_with_images(plt.subplots()[1], torch.zeros(4, 4))
