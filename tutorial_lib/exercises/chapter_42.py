"""Checks for chapter 42, the odd one out of a set."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from tutorial_lib.exercises.checker import Checker, ask, explain, require_shape

check = Checker(42)


@check.exercise(1, hint="The mean runs over the images of a set, axis 1; keep that axis.")
def distances_are_those_to_the_mean(distance_scores: Callable) -> None:
    """Compare with sums over single vectors, also for a set that is worked by hand."""
    by_hand = torch.tensor([[[0.0, 0.0], [0.0, 0.0], [3.0, 6.0]]])
    drawn = torch.rand(4, 5, 3, generator=torch.Generator().manual_seed(0))
    for name, vectors in [("drawn vectors", drawn), ("0, 0 and 3, 6", by_hand)]:
        got = ask(distance_scores, vectors)
        batch, size, features = vectors.shape
        require_shape(got, (batch, size), "the scores")
        expected = torch.stack(
            [
                torch.stack([((v - sum(row) / len(row)) ** 2).sum().sqrt() for v in row])
                for row in vectors
            ]
        )
        away = vectors - vectors.mean(dim=1, keepdim=True)
        explain(
            got,
            expected,
            {
                "these are the squared distances: take the root of the sum of squares": expected**2,
                "the mean runs over the batch: each set has a mean of its own": (
                    (vectors - vectors.mean(dim=0)).norm(dim=-1)
                ),
                "the mean runs over the features of one image: take it over the set": (
                    (vectors - vectors.mean(dim=-1, keepdim=True)).norm(dim=-1)
                ),
                "one mean of everything is taken off: the mean is a vector for each set": (
                    (vectors - vectors.mean()).norm(dim=-1)
                ),
                "one mean for all sets is taken off: each set has its own": (
                    (vectors - vectors.mean(dim=(0, 1))).norm(dim=-1)
                ),
                "these are the lengths of the vectors: the mean is not taken off": (
                    vectors.norm(dim=-1)
                ),
                "the squares are averaged over the features: sum them": expected / features**0.5,
                "the absolute values are summed: square, sum, take the root": away.abs().sum(-1),
                "this is the distance to the mean of the others: the image itself belongs to it": (
                    expected * size / (size - 1)
                ),
            },
            otherwise=f"wrong for {name}",
            tolerance=1e-5,
        )


class _Centred(nn.Module):
    """Follows every permutation: an image's distance from the mean of its set."""

    def forward(self, images: Tensor) -> Tensor:
        vectors = images.flatten(2)
        return (vectors - vectors.mean(dim=1, keepdim=True)).norm(dim=-1)


class _Placed(_Centred):
    """Adds to each score a number of its place; the largest change goes up or goes down."""

    def __init__(self, sign: int) -> None:
        super().__init__()
        self.sign = sign

    def forward(self, images: Tensor) -> Tensor:
        places = torch.tensor([0.0, 0.1, 0.2, 0.5])
        return super().forward(images) + self.sign * places


class _Pooled(_Centred):
    """Gives all images one score: reordering changes nothing at all."""

    def forward(self, images: Tensor) -> Tensor:
        return super().forward(images).mean(dim=1, keepdim=True).expand(images.shape[:2])


@check.exercise(2, hint="Reorder the images and score them; reorder the scores; compare.")
def gap_tells_equivariant_networks_from_others(equivariance_gap: Callable) -> None:
    """Measure networks that follow a permutation, and networks that do not."""
    images = torch.rand(3, 4, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    order = torch.tensor([2, 0, 3, 1])  # not its own inverse
    for network in (_Placed(1), _Placed(-1), _Centred(), _Pooled()):
        gap = ask(equivariance_gap, network, images, order)
        require_shape(gap, (), "the gap")
        scores, reordered = network(images), network(images[:, order])
        change = reordered - scores[:, order]
        right = change.abs().max()
        explain(
            gap,
            right,
            {
                "the scores are not reordered: reorder them with the same order": (
                    (reordered - scores).abs().max()
                ),
                "the scores are reordered the wrong way: give network(images) the same order": (
                    (reordered - scores[:, order.argsort()]).abs().max()
                ),
                "the images are not reordered, only the scores": (
                    (scores - scores[:, order]).abs().max()
                ),
                "a network that knows the places has gap 0": torch.tensor(0.0),
                "this is the largest difference with its sign: take absolute values": change.max(),
                "this is the largest difference with its sign: take absolute ones": -change.min(),
                "this is the mean of the absolute differences: take the largest": (
                    change.abs().mean()
                ),
                "this is the sum of the absolute differences: take the largest": change.abs().sum(),
                "this is the largest square: take the largest absolute difference": (
                    change.square().max()
                ),
            },
            otherwise=f"the largest absolute difference is {right:.2f} here, got {gap:.2f}",
            tolerance=1e-5,
        )


@check.exercise(3, hint="Start from all True. Column p is where the odd one is looked at.")
def mask_hides_the_odd_one(hide_the_odd_one: Callable) -> None:
    """Compare every cell with the sentence that defines it."""
    for places, size in [([4, 1, 1, 0], 5), ([1, 0, 2], 3), ([3], 5)]:
        mask = ask(hide_the_odd_one, torch.tensor(places), size)
        require_shape(mask, (len(places), size, size), "the mask")
        assert mask.dtype == torch.bool, f"the mask must be boolean, got {mask.dtype}"
        at = torch.arange(size)
        is_odd = at == torch.tensor(places)[:, None]  # (set, place)
        seen, looks = is_odd[:, None, :], is_odd[:, :, None]
        right = ~seen | looks
        nobody = is_odd.any(dim=0)[None, None, :]
        odd, query, key = [0, 0, 0] if mask.equal(right) else (mask != right).nonzero()[0].tolist()
        explain(
            mask,
            right,
            {
                "the mask is reversed: True is where a query may look": ~right,
                "rows and columns have changed places: the odd one may look at everyone": right.mT,
                "the odd one is hidden from itself: the odd one may look at itself": (
                    ~seen.expand_as(right)
                ),
                "nobody sees the odd one and it sees only itself: it may look at everyone": (
                    (~seen & ~looks) | (seen & looks)
                ),
                "everyone sees only itself: the odd one may look at everyone": (
                    torch.eye(size).bool().expand_as(right)
                ),
                "only the odd one may look: the others may look at one another": (
                    looks.expand_as(right)
                ),
                "nothing is hidden": torch.ones_like(right),
                "the places of all sets are hidden in every set: set b hides places[b]": (
                    (~nobody | looks).expand_as(right)
                ),
                "all sets have the mask of the first: set b hides places[b]": (
                    right[:1].expand_as(right)
                ),
            },
            otherwise=(
                f"with the odd one at {places[odd]}, query {query} and key {key}: "
                f"{bool(mask[odd, query, key])}, needed is {bool(right[odd, query, key])}"
            ),
        )
