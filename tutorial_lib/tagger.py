"""A network that reads a sequence and says something about every token of it."""

from __future__ import annotations

from jaxtyping import Bool, Float
from torch import Tensor, nn

from tutorial_lib.encoder import TransformerEncoder
from tutorial_lib.positions import SinusoidalPositionalEncoding
from tutorial_lib.validation import require_positive, require_width


class TaggerNetwork(nn.Module):
    r"""Score the classes of every token: input map, positions, encoder, output map.

    .. math:: \hat y = \operatorname{out}(\operatorname{encoder}(x W + b + PE))

    The output map is linear, LayerNorm, ReLU, dropout, linear.

    Args:
        input_dim: Width of a token as it comes.
        num_classes: Number of scores for each token.
        embed_dim: Width of the tokens inside.
        num_heads: Number of attention heads; divides ``embed_dim``.
        num_layers: Number of encoder layers.
        dim_feedforward: Width inside the feed-forward; twice ``embed_dim`` when left out.
        dropout: Probability of dropping while training.
        norm_first: Pre-norm if true, the paper's post-norm if false.
        positions: Whether the tokens are told where they stand; without, the network is blind
            to their order.
        max_len: Longest sequence.

    Raises:
        TypeError: If a size is not an integer.
        ValueError: If a size is below 1, ``num_heads`` does not divide ``embed_dim``, or
            ``dropout`` lies outside [0, 1).

    Taught in :doc:`/notebooks/41_reverse_a_sequence`.
    """

    def __init__(
        self,
        *,
        input_dim: int,
        num_classes: int,
        embed_dim: int,
        num_heads: int = 1,
        num_layers: int = 1,
        dim_feedforward: int | None = None,
        dropout: float = 0.0,
        norm_first: bool = False,
        positions: bool = True,
        max_len: int = 512,
    ) -> None:
        super().__init__()
        require_positive(
            input_dim=input_dim, num_classes=num_classes, embed_dim=embed_dim, max_len=max_len
        )
        self.input_net = nn.Linear(input_dim, embed_dim)
        self.positions = (
            SinusoidalPositionalEncoding(embed_dim, max_len=max_len) if positions else nn.Identity()
        )
        self.encoder = TransformerEncoder(
            num_layers=num_layers,
            embed_dim=embed_dim,
            num_heads=num_heads,
            dim_feedforward=2 * embed_dim if dim_feedforward is None else dim_feedforward,
            dropout=dropout,
            norm_first=norm_first,
        )
        self.output_net = nn.Sequential(
            nn.Linear(embed_dim, embed_dim),
            nn.LayerNorm(embed_dim),
            nn.ReLU(),
            nn.Dropout(dropout),
            nn.Linear(embed_dim, num_classes),
        )

    def forward(
        self,
        x: Float[Tensor, "batch length input_dim"],
        attn_mask: Bool[Tensor, ...] | None = None,
    ) -> Float[Tensor, "batch length num_classes"]:
        """Score the classes of every token.

        Args:
            x: The tokens as they come.
            attn_mask: True where a query may attend; see :func:`tutorial_lib.masks.align_mask`.

        Returns:
            Logits, one row for each token.

        Raises:
            TypeError: If ``attn_mask`` is not boolean.
            ValueError: If the shapes do not fit together.
        """
        require_width(x, self.input_net.in_features, name="x")
        return self.output_net(self.encoder(self.positions(self.input_net(x)), attn_mask))
