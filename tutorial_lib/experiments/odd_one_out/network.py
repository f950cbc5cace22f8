"""A network that looks at a set of images and gives every one of them a score."""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor, nn

from tutorial_lib.tagger import TaggerNetwork
from tutorial_lib.validation import kind_of, require_modules, require_positive


class SetNetwork(nn.Module):
    r"""Score the images of a set: an embedding each, an encoder for all, one number each.

    .. math:: s = \operatorname{out}\big(\operatorname{encoder}(z W + b)\big), \qquad
        z_i = \operatorname{embedding}(x_i)

    Without positions the network is permutation equivariant: images in another order get the same
    scores, in that order. It is then also free in the number of images.

    Args:
        embedding: Maps images ``(images, channels, height, width)`` to vectors
            ``(images, input_dim)``.
        input_dim: Width of those vectors.
        embed_dim: Width of the tokens inside the encoder.
        num_heads: Number of attention heads; divides ``embed_dim``.
        num_layers: Number of encoder layers.
        dropout: Probability of dropping while training.
        norm_first: Pre-norm if true, the paper's post-norm if false.
        positions: Whether the images are told where they stand. A set has no order, so that this
            is only for comparison.

    Raises:
        TypeError: If ``embedding`` is not a module, or a size not an integer.
        ValueError: If a size is below 1, ``num_heads`` does not divide ``embed_dim``, or
            ``dropout`` lies outside [0, 1).

    Source: Vaswani et al. (2017), section 3.1, for the encoder.
    Taught in :doc:`/notebooks/42_odd_one_out`.
    """

    def __init__(
        self,
        embedding: nn.Module,
        *,
        input_dim: int,
        embed_dim: int,
        num_heads: int = 1,
        num_layers: int = 1,
        dropout: float = 0.0,
        norm_first: bool = False,
        positions: bool = False,
    ) -> None:
        super().__init__()
        require_modules(embedding=embedding)
        require_positive(input_dim=input_dim)
        self.embedding = embedding
        self.tagger = TaggerNetwork(
            input_dim=input_dim,
            num_classes=1,
            embed_dim=embed_dim,
            num_heads=num_heads,
            num_layers=num_layers,
            dropout=dropout,
            norm_first=norm_first,
            positions=positions,
        )

    def forward(
        self,
        images: Float[Tensor, "batch set channels height width"],
        attn_mask: Bool[Tensor, ...] | None = None,
    ) -> Float[Tensor, "batch set"]:
        """Score every image of every set.

        Args:
            images: The sets.
            attn_mask: True where an image may attend to another; see
                :func:`tutorial_lib.masks.align_mask`.

        Returns:
            Logits; the softmax over a set's images says which one is odd.

        Raises:
            TypeError: If ``images`` is not a tensor, or ``attn_mask`` not boolean.
            ValueError: If the shapes do not fit together.
        """
        return self.tagger(self.embed(images), attn_mask).squeeze(-1)

    def embed(
        self, images: Float[Tensor, "batch set channels height width"]
    ) -> Float[Tensor, "batch set input_dim"]:
        """Turn every image into a vector, each on its own.

        Args:
            images: The sets.

        Returns:
            What the encoder's input map reads.

        Raises:
            TypeError: If ``images`` is not a tensor.
            ValueError: If it has not five axes.
        """
        if not isinstance(images, Tensor):
            raise TypeError(f"images must be a tensor, got {kind_of(images)}")
        if images.ndim != 5:
            raise ValueError(
                "images must have shape (batch, set, channels, height, width), "
                f"got {tuple(images.shape)}"
            )
        return self.embedding(images.flatten(0, 1)).unflatten(0, images.shape[:2])
