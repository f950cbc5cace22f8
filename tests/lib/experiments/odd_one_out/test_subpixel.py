"""Images move by whole pixels exactly, and in between linearly."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from reference import TOLERANCE, draw

from tutorial_lib.experiments.odd_one_out.subpixel import move_images


@given(down=st.integers(-3, 3), right=st.integers(-3, 3))
def test_whole_pixels_move_the_image_and_bring_in_zeros(down, right):
    image = draw(1, 2, 4, 5)
    moved = move_images(image, torch.tensor([[down, right]]).double())
    expected = torch.zeros_like(image)
    for r in range(4):
        for c in range(5):
            if 0 <= r - down < 4 and 0 <= c - right < 5:
                expected[..., r, c] = image[..., r - down, c - right]
    torch.testing.assert_close(moved, expected, **TOLERANCE)


def test_half_a_pixel_is_the_mean_of_two_neighbours():
    image = torch.tensor([[[[2.0, 4.0, 8.0]]]])
    assert move_images(image, torch.tensor([[0.0, 0.5]])).flatten().tolist() == [1, 3, 6]
    assert move_images(image, torch.tensor([[0.0, -0.5]])).flatten().tolist() == [3, 6, 4]
    quarter = move_images(image.mT, torch.tensor([[0.25, 0.0]])).flatten()
    torch.testing.assert_close(quarter, torch.tensor([1.5, 3.5, 7.0]))


def test_each_image_has_an_offset_of_its_own():
    images = draw(3, 1, 4, 4)
    moved = move_images(images, torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, -1.0]]).double())
    torch.testing.assert_close(moved[0], images[0], **TOLERANCE)
    torch.testing.assert_close(moved[1, :, 1:], images[1, :, :-1], **TOLERANCE)
    torch.testing.assert_close(moved[2, ..., :-1], images[2, ..., 1:], **TOLERANCE)


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize("shape", [(2, 2), (3, 1), (3,)])
def test_offsets_that_do_not_fit_are_refused(shape):
    with pytest.raises(ValueError, match=r"offsets \(images, 2\), got \(3, 1, 4, 4\) and \("):
        move_images(torch.zeros(3, 1, 4, 4), torch.zeros(shape))
