"""The vision Transformer: an image read as a sequence of patches."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from tutorial_lib.encoder import TransformerEncoder
from tutorial_lib.experiments.images.patches import PatchEmbedding, require_images
from tutorial_lib.feed_forward import Activation
from tutorial_lib.positions import LearnedPositionalEmbedding
from tutorial_lib.validation import require_above_zero, require_positive, require_probability


class VisionTransformer(nn.Module):
    r"""Classify an image: patches, class token, positions, pre-norm encoder, linear head.

    .. math::
        z = [\, c;\ W x_1 + b;\ \dots;\ W x_N + b\,] + E, \qquad
        \hat y = \operatorname{head}\big(\operatorname{encoder}(z)_0\big)

    The class token c is a trained vector, the same for every image. It stands at position 0,
    and its output, after the encoder's last norm, is all that the head sees.

    Args:
        image_size: Side of the square images in pixels.
        patch_size: Side of a patch in pixels; divides ``image_size``.
        num_channels: Channels of the images.
        num_classes: Number of scores.
        embed_dim: Width of the tokens.
        num_heads: Number of attention heads; divides ``embed_dim``.
        num_layers: Number of encoder layers.
        dim_feedforward: Width inside the feed-forward; four times ``embed_dim`` when left out.
        dropout: Probability of dropping while training, in the layers and on the tokens.
        activation: The feed-forward's nonlinearity, "gelu" or "relu".
        layer_norm_eps: What LayerNorm adds to the variance.
        positions: Whether tokens are told where they stand, by a trained table E; without it,
            the order of the patches makes no difference.
        position_std: Standard deviation of the table's elements before training.

    Raises:
        TypeError: If a size is not an integer, or another setting not a number.
        ValueError: If a size is below 1, ``patch_size`` does not divide ``image_size``,
            ``num_heads`` does not divide ``embed_dim``, ``dropout`` lies outside [0, 1),
            ``activation`` is not known, or ``layer_norm_eps`` or ``position_std`` is not above 0.

    Source: Dosovitskiy et al. (2021), section 3.1.
    Taught in :doc:`/notebooks/45_vision_transformer`.
    """

    def __init__(
        self,
        *,
        image_size: int,
        patch_size: int,
        num_channels: int,
        num_classes: int,
        embed_dim: int,
        num_heads: int,
        num_layers: int,
        dim_feedforward: int | None = None,
        dropout: float = 0.0,
        activation: Activation = "gelu",
        layer_norm_eps: float = 1e-6,
        positions: bool = True,
        position_std: float = 0.02,
    ) -> None:
        super().__init__()
        require_positive(image_size=image_size, num_classes=num_classes)
        require_probability(dropout=dropout)
        require_above_zero(position_std=position_std)
        self.patch_embedding = PatchEmbedding(
            patch_size=patch_size, num_channels=num_channels, embed_dim=embed_dim
        )
        if image_size % patch_size:
            raise ValueError(f"patch_size must divide image_size={image_size}, got {patch_size}")
        self.image_size = image_size
        self.class_token = nn.Parameter(torch.empty(embed_dim))
        nn.init.normal_(self.class_token, std=0.02)
        self.positions: nn.Module = nn.Dropout(dropout)
        if positions:
            length = 1 + (image_size // patch_size) ** 2
            self.positions = LearnedPositionalEmbedding(embed_dim, max_len=length, dropout=dropout)
            nn.init.normal_(self.positions.weight, std=position_std)
        self.encoder = TransformerEncoder(
            num_layers=num_layers,
            embed_dim=embed_dim,
            num_heads=num_heads,
            dim_feedforward=4 * embed_dim if dim_feedforward is None else dim_feedforward,
            dropout=dropout,
            norm_first=True,
            activation=activation,
            layer_norm_eps=layer_norm_eps,
        )
        self.head = nn.Linear(embed_dim, num_classes)

    def forward(
        self,
        images: Float[Tensor, "batch channels height width"],
        attn_mask: Bool[Tensor, ...] | None = None,
    ) -> Float[Tensor, "batch num_classes"]:
        """Score the classes of every image.

        Args:
            images: The images.
            attn_mask: True where a query may attend, the class token first; see
                :func:`tutorial_lib.masks.align_mask`. A patch that nobody may attend to is as
                good as taken out of the image.

        Returns:
            Logits, one row for each image.

        Raises:
            TypeError: If ``images`` is not a tensor of floats, or ``attn_mask`` not boolean.
            ValueError: If the shapes do not fit together.
        """
        require_images(images)
        if images.shape[2:] != (self.image_size, self.image_size):
            raise ValueError(
                f"images must be {self.image_size} by {self.image_size} pixels, "
                f"got {images.shape[2]} by {images.shape[3]}"
            )
        tokens = self.patch_embedding(images)
        first = self.class_token.expand(len(images), 1, -1)
        x = self.positions(torch.cat([first, tokens], dim=1))
        return self.head(self.encoder(x, attn_mask)[:, 0])
