"""Sets hold one odd image each, are drawn evenly, and are new when they are to be."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tutorial_lib.experiments.odd_one_out.sets import (
    FreshSets,
    ImageSets,
    SetSampler,
    seeded_generator,
)
from tutorial_lib.lightning.loaders import EpochOrder, TensorRows, batch_loader

LABELS = torch.tensor([0, 1, 2] * 5 + [0, 1, 0])  # 7, 6 and 5 images of the classes


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def pictures(dtype=torch.float32):
    """Images whose every pixel is their number."""
    return torch.arange(len(LABELS), dtype=dtype)[:, None, None, None].expand(-1, 1, 4, 4)


@given(size=st.integers(1, 30), set_size=st.integers(3, 6), seed=st.integers(0, 99))
def test_all_but_one_are_different_images_of_one_class(size, set_size, seed):
    members, places = SetSampler(LABELS, set_size=set_size).draw(size, generator(seed))
    assert members.shape == (size, set_size)
    for row, place in zip(members.tolist(), places.tolist(), strict=True):
        odd = row.pop(place)
        (common,) = {int(LABELS[image]) for image in row}
        assert len(set(row)) == set_size - 1
        assert int(LABELS[odd]) != common


def test_classes_places_and_images_are_drawn_evenly():
    sampler = SetSampler(LABELS, set_size=4)
    members, places = sampler.draw(6000, generator())
    odd = members.gather(1, places[:, None])[:, 0]
    rest = members[torch.arange(4) != places[:, None]].view(-1, 3)
    pairs = (3 * LABELS[rest[:, 0]] + LABELS[odd]).bincount(minlength=9) / 6000
    wanted = (torch.ones(3, 3) - torch.eye(3)).flatten() / 6
    torch.testing.assert_close(pairs, wanted, atol=0.02, rtol=0)
    torch.testing.assert_close(places.bincount() / 6000, torch.full((4,), 0.25), atol=0.02, rtol=0)
    for images in (odd, rest.flatten()):
        share = images.bincount(minlength=len(LABELS)) / len(images)
        wanted = 1 / (3 * LABELS.bincount()[LABELS])
        torch.testing.assert_close(share, wanted, atol=0.012, rtol=0)


@pytest.mark.parametrize("place", [0, 2, 3])
def test_the_odd_one_can_be_told_where_to_stand(place):
    members, places = SetSampler(LABELS, set_size=4, odd_place=place).draw(50, generator())
    assert places.tolist() == [place] * 50
    classes = LABELS[members]
    others = classes[:, torch.arange(4) != place]
    assert others.eq(others[:, :1]).all()
    assert classes[:, place].ne(others[:, 0]).all()


def test_fixed_sets_are_the_images_of_their_numbers():
    members, places = torch.tensor([[3, 1, 2], [5, 6, 7]]), torch.tensor([2, 0])
    sets = ImageSets(pictures(), members, places)
    images, given_places = sets.__getitems__([1, 0])
    assert images.shape == (2, 3, 1, 4, 4)
    assert images[..., 0, 0, 0].tolist() == [[5, 6, 7], [3, 1, 2]]
    assert given_places.tolist() == [0, 2]
    image, place = sets[0]
    assert image[:, 0, 0, 0].tolist() == [3, 1, 2]
    assert int(place) == 2


class Halved(TensorRows):
    def __getitems__(self, indices):
        images, labels = super().__getitems__(indices)
        return images / 2, labels


def test_images_are_fetched_through_the_rows_that_hold_them():
    rows = Halved(pictures(), LABELS)
    sets = ImageSets(rows, torch.tensor([[4, 2, 0]]), torch.tensor([0]))
    assert sets.__getitems__([0])[0].flatten(2)[0, :, 0].tolist() == [2, 1, 0]
    fresh = FreshSets(rows, SetSampler(LABELS, set_size=3), size=4)
    assert fresh[0][0].max() <= (len(LABELS) - 1) / 2


def fresh(**settings):
    return FreshSets(pictures(), SetSampler(LABELS, set_size=4), **({"size": 40} | settings))


def test_every_epoch_has_new_sets_that_are_those_of_the_seed():
    loader, again = (
        batch_loader(sets, batch_size=8, order=EpochOrder(sets, seed=0))
        for sets in (fresh(), fresh())
    )
    epochs = [torch.cat([images for images, _ in loader])[..., 0, 0, 0] for _ in range(2)]
    assert len(epochs[0]) == 40
    assert not set(map(tuple, epochs[0].tolist())) & set(map(tuple, epochs[1].tolist()))
    assert torch.cat([images for images, _ in again])[..., 0, 0, 0].equal(epochs[0])


def test_fresh_sets_depend_on_the_seed_and_the_rows_alone():
    torch.manual_seed(1)
    images, _ = fresh().__getitems__([3, 5])
    expected = torch.rand(1)
    torch.manual_seed(1)
    assert torch.rand(1).equal(expected)  # the global generator was left alone
    assert fresh().__getitems__([3, 5])[0].equal(images)
    assert not fresh().__getitems__([3, 6])[0].equal(images)
    assert not fresh(seed=1).__getitems__([3, 5])[0].equal(images)


def test_fresh_sets_have_their_odd_one_where_they_say():
    images, places = fresh().__getitems__(range(40))
    classes = LABELS[images[..., 0, 0, 0].long()]
    odd = classes.gather(1, places[:, None])
    assert (classes == odd).sum(1).eq(1).all()
    assert places.unique().tolist() == [0, 1, 2, 3]


def test_fresh_images_are_moved_by_at_most_max_shift():
    dot = torch.zeros(len(LABELS), 1, 5, 5)
    dot[..., 2, 2] = 1
    sampler = SetSampler(LABELS, set_size=4)
    images, _ = FreshSets(dot, sampler, size=40, max_shift=0.5).__getitems__(range(40))
    # Linear interpolation keeps the dot's mass, and its centre tells how far it went.
    torch.testing.assert_close(images.sum((-1, -2)), torch.ones(40, 4, 1))
    steps = torch.arange(-2.0, 3.0)
    for axis in (-1, -2):
        offset = (images.sum(axis) * steps).sum(-1)
        assert offset.abs().max() <= 0.5
        assert offset.min() < -0.4
        assert offset.max() > 0.4
        assert offset.abs().mean() == pytest.approx(0.25, abs=0.04)


def test_generators_of_other_numbers_draw_other_things():
    drawn = [torch.rand(4, generator=seeded_generator(*n)) for n in [(0, 1), (1, 0), (0, 1), (0,)]]
    assert drawn[0].equal(drawn[2])
    assert not any(drawn[0].equal(other) for other in (drawn[1], drawn[3]))


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("settings", "error", "says"),
    [
        ({"set_size": 2}, ValueError, "set_size must be at least 3, so that one is odd, got 2"),
        ({"set_size": 4.0}, TypeError, "set_size must be an integer, got float"),
        ({"set_size": 4, "odd_place": 4}, ValueError, "odd_place must be below set_size=4.*got 4"),
        ({"odd_place": -1}, ValueError, "odd_place must be at least 0, got -1"),
        ({"set_size": 7}, ValueError, r"labels must hold at least two classes of 6.*\[7, 6, 5\]"),
    ],
)
def test_sets_that_cannot_be_are_refused(settings, error, says):
    with pytest.raises(error, match=f"^{says}"):
        SetSampler(LABELS, **settings)


def test_a_single_class_is_refused():
    with pytest.raises(ValueError, match="at least two classes"):
        SetSampler(torch.zeros(20, dtype=torch.int64), set_size=3)


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("settings", "error", "says"),
    [
        ({"size": 0}, ValueError, "size must be at least 1, got 0"),
        ({"max_shift": -0.5}, ValueError, r"max_shift must be at least 0 and finite, got -0\.5"),
        ({"max_shift": "far"}, TypeError, "max_shift must be a number, got str"),
        ({"seed": -1}, ValueError, "seed must be at least 0, got -1"),
    ],
)
def test_wrong_settings_are_refused(settings, error, says):
    with pytest.raises(error, match=f"^{says}"):
        fresh(**settings)
