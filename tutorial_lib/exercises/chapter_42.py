"""Checks for chapter 42, the odd one out of a set."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from tutorial_lib.exercises.checker import Checker, is_close, require_shape

check = Checker(42)


@check.exercise(1, hint="The mean runs over the images of a set, axis 1; keep that axis.")
def distances_are_those_to_the_mean(distance_scores: Callable) -> None:
    """Compare with sums over single vectors; a set worked by hand comes first."""
    by_hand = torch.tensor([[[0.0, 0.0], [0.0, 0.0], [3.0, 6.0]]])
    drawn = torch.rand(4, 5, 3, generator=torch.Generator().manual_seed(0))
    for name, vectors in [("0, 0 and 3, 6", by_hand), ("drawn vectors", drawn)]:
        got = distance_scores(vectors)
        require_shape(got, tuple(vectors.shape[:2]), "the scores")
        expected = torch.stack(
            [
                torch.stack([((v - sum(row) / len(row)) ** 2).sum().sqrt() for v in row])
                for row in vectors
            ]
        )
        assert not is_close(got, expected**2, 1e-5), "take the root of the sum of squares"
        assert is_close(got, expected, 1e-5), f"wrong for {name}"


class _Centred(nn.Module):
    """Follows every permutation: an image's distance from the mean of its set."""

    def forward(self, images: Tensor) -> Tensor:
        vectors = images.flatten(2)
        return (vectors - vectors.mean(dim=1, keepdim=True)).norm(dim=-1)


class _Placed(_Centred):
    """Adds to each score a number of its place."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images) + torch.linspace(0, 0.5, images.shape[1])


class _Pooled(_Centred):
    """Gives all images one score: reordering changes nothing at all."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images).mean(dim=1, keepdim=True).expand(images.shape[:2])


@check.exercise(2, hint="Reorder the images and score them; reorder the scores; compare.")
def gap_tells_equivariant_networks_from_others(equivariance_gap: Callable) -> None:
    """Measure a network that follows a permutation, and two that do not or need not."""
    images = torch.rand(3, 4, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    order = torch.tensor([2, 0, 3, 1])  # not its own inverse
    for network, follows in [(_Centred(), True), (_Pooled(), True), (_Placed(), False)]:
        gap = equivariance_gap(network, images, order)
        require_shape(gap, (), "the gap")
        if follows:
            assert gap <= 1e-5, (
                f"a network that follows every permutation has gap {float(gap):.2f}: "
                "reorder the scores with the same order"
            )
            continue
        scores = network(images)
        expected = (network(images[:, order]) - scores[:, order]).abs().max()
        assert gap > 1e-5, "a network that knows the places has gap 0"
        assert is_close(gap, expected, 1e-4), "give the largest absolute difference"


@check.exercise(3, hint="Start from all True. Column p is where the odd one is looked at.")
def mask_hides_the_odd_one(hide_the_odd_one: Callable) -> None:
    """Compare every cell with the sentence that defines it."""
    for places, size in [([1, 0, 2], 3), ([3], 5)]:
        mask = hide_the_odd_one(torch.tensor(places), size)
        require_shape(mask, (len(places), size, size), "the mask")
        assert mask.dtype == torch.bool, f"the mask must be boolean, got {mask.dtype}"
        for row, place in zip(mask.tolist(), places, strict=True):
            assert row[place][place], "the odd one may look at itself"
            assert all(row[place]), "the odd one may look at everyone"
            for query in range(size):
                for key in range(size):
                    wanted = key != place or query == place
                    assert row[query][key] == wanted, (
                        f"with the odd one at {place}, query {query} and key {key}: "
                        f"{row[query][key]}, needed is {wanted}"
                    )
