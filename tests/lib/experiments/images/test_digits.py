"""The digits are those of scikit-learn, each in one split."""

from __future__ import annotations

import torch
from sklearn.datasets import load_digits

from tutorial_lib.experiments.images.digits import digit_splits


def test_every_image_is_in_exactly_one_split():
    splits = digit_splits(seed=1)
    assert [len(split.labels) for split in splits] == [1077, 360, 360]
    found = load_digits()
    rows = [
        [*(16 * image).flatten().tolist(), float(label)]
        for split in splits
        for image, label in zip(split.images, split.labels, strict=True)
    ]
    assert sorted(rows) == sorted(
        [*image, label] for image, label in zip(found.data, found.target, strict=True)
    )


def test_every_split_has_the_shares_of_the_classes():
    splits = digit_splits()
    counts = torch.stack([split.labels.bincount(minlength=10) for split in splits])
    shares = counts / counts.sum(dim=1, keepdim=True)
    torch.testing.assert_close(shares, shares[:1].expand(3, -1), atol=0.005, rtol=0)


def test_the_seed_draws_the_split():
    one, again, other = (digit_splits(seed=seed) for seed in (0, 0, 1))
    assert one.test.images.equal(again.test.images)
    assert not one.test.images.equal(other.test.images)


def test_the_values_run_from_paper_to_ink():
    images = digit_splits().train.images
    assert images.dtype == torch.float32
    assert images.shape[1:] == (1, 8, 8)
    assert images.min() == 0
    assert images.max() == 1
