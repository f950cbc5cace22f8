"""Sets of images in which one is of another class: drawn once, or afresh for every batch."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from tutorial_lib.experiments.odd_one_out.subpixel import move_images
from tutorial_lib.lightning.loaders import TensorRows
from tutorial_lib.validation import require_at_least_zero, require_counts, require_positive


def seeded_generator(*numbers: int) -> torch.Generator:
    """Make a generator whose seed is mixed from several numbers.

    Args:
        numbers: Whole numbers from 0.

    Returns:
        A generator of its own for every list of numbers.
    """
    mixed = np.random.SeedSequence(numbers).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(mixed[0]))


class SetSampler:
    r"""Draw sets of images: all but one of one class, one of another.

    .. math:: c \sim \operatorname{Uniform}\{0, \dots, C - 1\}, \qquad
        o \sim \operatorname{Uniform}\big(\{0, \dots, C - 1\} \setminus \{c\}\big), \qquad
        p \sim \operatorname{Uniform}\{0, \dots, n - 1\}

    The image at place p is of class o, the n - 1 others are different images of class c.

    Args:
        labels: The class of every image, 0 to C - 1.
        set_size: Images in a set, n.
        odd_place: Where the odd one stands, p; anywhere when left out.

    Raises:
        TypeError: If a size is not an integer.
        ValueError: If ``set_size`` is below 3, ``odd_place`` outside the set, there are fewer than
            two classes, or a class has fewer than ``set_size`` - 1 images.

    Taught in :doc:`/notebooks/42_odd_one_out`.
    """

    def __init__(
        self, labels: Int[Tensor, " images"], *, set_size: int = 10, odd_place: int | None = None
    ) -> None:
        require_positive(set_size=set_size)
        if set_size < 3:
            raise ValueError(f"set_size must be at least 3, so that one is odd, got {set_size}")
        if odd_place is not None:
            require_counts(odd_place=odd_place)
            if odd_place >= set_size:
                raise ValueError(
                    f"odd_place must be below set_size={set_size}, or None, got {odd_place}"
                )
        self.set_size, self.odd_place = set_size, odd_place
        self.counts = labels.bincount()
        if len(self.counts) < 2 or self.counts.min() < set_size - 1:
            raise ValueError(
                f"labels must hold at least two classes of {set_size - 1} images each, "
                f"got {self.counts.tolist()} images of the classes"
            )
        # The images of class c stand in row c, in front; the rest of the row is never drawn.
        self.table = torch.zeros(len(self.counts), int(self.counts.max()), dtype=torch.int64)
        for number, count in enumerate(self.counts.tolist()):
            self.table[number, :count] = (labels == number).nonzero()[:, 0]

    def draw(
        self, size: int, generator: torch.Generator
    ) -> tuple[Int[Tensor, "size set_size"], Int[Tensor, " size"]]:
        """Draw sets.

        Args:
            size: Number of sets.
            generator: What draws.

        Returns:
            The numbers of the images of each set, and the place of its odd one.

        Raises:
            TypeError: If ``size`` is not an integer.
            ValueError: If it is below 1.
        """
        require_positive(size=size)
        classes, longest = self.table.shape
        common = torch.randint(classes, (size,), generator=generator)
        other = (common + torch.randint(1, classes, (size,), generator=generator)) % classes
        # The largest of random numbers stand at random places, no place twice.
        lots = torch.rand(size, longest, generator=generator)
        lots[torch.arange(longest) >= self.counts[common, None]] = -1
        chosen = lots.topk(self.set_size - 1).indices
        same = self.table[common[:, None], chosen]  # (size, set_size - 1)
        which = torch.randint(2**40, (size,), generator=generator) % self.counts[other]
        odd = self.table[other, which]
        places = torch.randint(self.set_size, (size,), generator=generator)
        if self.odd_place is not None:
            places.fill_(self.odd_place)
        members = torch.cat([same, odd[:, None]], dim=1)
        everyone = torch.arange(size)
        members[everyone, -1] = members[everyone, places]
        members[everyone, places] = odd
        return members, places


class ImageSets(TensorRows):
    """Sets that stay as they are: which images each holds, and which place is odd.

    Args:
        images: All the images, or rows of them that ``__getitems__`` fetches.
        members: The numbers of each set's images.
        places: The place of each set's odd one.

    Raises:
        TypeError: If one is not a tensor.
        ValueError: If there are not as many sets as places.

    Taught in :doc:`/notebooks/42_odd_one_out`.
    """

    def __init__(
        self,
        images: TensorRows | Shaped[Tensor, "images channels height width"],
        members: Int[Tensor, "sets set_size"],
        places: Int[Tensor, " sets"],
    ) -> None:
        super().__init__(members, places)
        self.images = images if isinstance(images, TensorRows) else TensorRows(images)

    def __getitems__(self, indices: Sequence[int]) -> tuple[Tensor, ...]:
        members, places = super().__getitems__(indices)
        return fetch(self.images, members), places


class FreshSets(TensorRows):
    """Sets that are drawn when a batch is asked for, their images moved a little.

    What is drawn depends on the seed and on the numbers of the batch's rows, and on nothing else:
    a loader that shuffles them anew every epoch gets new sets every epoch, and processes that
    load other rows draw other sets.

    Args:
        images: All the images, or rows of them that ``__getitems__`` fetches.
        sampler: What draws the sets.
        size: Number of sets in an epoch.
        max_shift: Most pixels, or parts of a pixel, that an image is moved in each direction.
        seed: Seed of the draw.

    Raises:
        TypeError: If a size is not an integer, or ``max_shift`` not a number.
        ValueError: If ``size`` is below 1, or ``max_shift`` or ``seed`` negative.

    Taught in :doc:`/notebooks/42_odd_one_out`.
    """

    def __init__(
        self,
        images: TensorRows | Shaped[Tensor, "images channels height width"],
        sampler: SetSampler,
        *,
        size: int,
        max_shift: float = 0.0,
        seed: int = 0,
    ) -> None:
        require_positive(size=size)
        require_at_least_zero(max_shift=max_shift)
        require_counts(seed=seed)
        super().__init__(torch.arange(size))
        self.images = images if isinstance(images, TensorRows) else TensorRows(images)
        self.sampler, self.max_shift, self.seed = sampler, max_shift, seed

    def __getitems__(self, indices: Sequence[int]) -> tuple[Tensor, ...]:
        (rows,) = super().__getitems__(indices)
        generator = seeded_generator(self.seed, *rows.tolist())
        members, places = self.sampler.draw(len(rows), generator)
        sets = fetch(self.images, members)
        if self.max_shift:
            moved = sets.flatten(0, 1)
            drawn = 2 * torch.rand(len(moved), 2, generator=generator) - 1
            sets = move_images(moved, self.max_shift * drawn).view_as(sets)
        return sets, places


def fetch(
    images: TensorRows, members: Int[Tensor, "sets set_size"]
) -> Float[Tensor, "sets set_size channels height width"]:
    """Fetch the images of sets.

    Args:
        images: Rows whose first tensor holds the images.
        members: The numbers of each set's images.

    Returns:
        The sets.
    """
    return images.__getitems__(members.flatten().tolist())[0].unflatten(0, members.shape)
