"""An encoder-only model: tokens in, scores of the token that stands at each position out."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from tutorial_lib.embedding import TokenEmbedding, require_tokens
from tutorial_lib.encoder import TransformerEncoder
from tutorial_lib.feed_forward import ACTIVATIONS, Activation
from tutorial_lib.positions import LearnedPositionalEmbedding
from tutorial_lib.validation import require_positive


class MaskedLanguageModel(nn.Module):
    r"""Read a whole text, and score at every position every token that might stand there.

    .. math::
        \begin{aligned}
        x &= \operatorname{encoder}(\operatorname{LN}(E_t + P + S_s)) \\
        \operatorname{logits} &= \operatorname{LN}(\sigma(x W + b_1)) E^\top + b_2
        \end{aligned}

    E holds the tokens' vectors, and makes the logits too; P holds the positions' and S the
    segments' (first or second sentence). The encoder is post-norm. This is BERT.

    Args:
        vocab_size: Number of different tokens.
        embed_dim: Width of the tokens inside.
        num_heads: Number of attention heads; divides ``embed_dim``.
        num_layers: Number of encoder layers.
        dim_feedforward: Width inside the feed-forward; four times ``embed_dim`` when left out.
        max_len: Longest sequence.
        num_segments: Number of different segments.
        dropout: Probability of dropping while training.
        activation: The nonlinearity: "relu", "gelu" or "gelu_tanh".
        layer_norm_eps: What LayerNorm adds to the variance.

    Raises:
        TypeError: If a size is not an integer, or another setting not a number.
        ValueError: If a size is below 1, ``num_heads`` does not divide ``embed_dim``,
            ``dropout`` lies outside [0, 1), ``layer_norm_eps`` is not above 0, or ``activation``
            is not known.

    Source: Devlin et al. (2019), section 3. Taught in :doc:`/notebooks/47_real_weights`.
    """

    def __init__(
        self,
        *,
        vocab_size: int,
        embed_dim: int,
        num_heads: int,
        num_layers: int,
        dim_feedforward: int | None = None,
        max_len: int = 512,
        num_segments: int = 2,
        dropout: float = 0.0,
        activation: Activation = "gelu",
        layer_norm_eps: float = 1e-12,
    ) -> None:
        super().__init__()
        require_positive(embed_dim=embed_dim, num_segments=num_segments)
        self.embedding = TokenEmbedding(vocab_size, embed_dim, scale=False)
        self.positions = LearnedPositionalEmbedding(embed_dim, max_len=max_len)
        self.segments = nn.Embedding(num_segments, embed_dim)
        self.norm = nn.LayerNorm(embed_dim, eps=layer_norm_eps)
        self.dropout = nn.Dropout(dropout)
        self.encoder = TransformerEncoder(
            num_layers=num_layers,
            embed_dim=embed_dim,
            num_heads=num_heads,
            dim_feedforward=4 * embed_dim if dim_feedforward is None else dim_feedforward,
            dropout=dropout,
            activation=activation,
            layer_norm_eps=layer_norm_eps,
        )
        self.activation: Activation = activation
        self.head = nn.Linear(embed_dim, embed_dim)
        self.head_norm = nn.LayerNorm(embed_dim, eps=layer_norm_eps)
        self.head_bias = nn.Parameter(torch.zeros(vocab_size))

    def forward(
        self,
        tokens: Int[Tensor, "batch length"],
        segments: Int[Tensor, "batch length"] | None = None,
        attn_mask: Bool[Tensor, ...] | None = None,
    ) -> Float[Tensor, "batch length vocab_size"]:
        """Score the token at every position.

        Args:
            tokens: Token numbers.
            segments: Segment numbers; 0 everywhere when left out.
            attn_mask: True where a query may attend; see :func:`tutorial_lib.masks.align_mask`.

        Returns:
            The logits.

        Raises:
            TypeError: If ``tokens`` is not a tensor of integers, or ``attn_mask`` not boolean.
            ValueError: If a number is out of range, the sequence too long, or the shapes do not
                fit together.
        """
        x = self.encoder(self._embed(tokens, segments), attn_mask)
        x = self.head_norm(ACTIVATIONS[self.activation](self.head(x)))
        return self.embedding.logits(x) + self.head_bias

    def _embed(self, tokens: Tensor, segments: Tensor | None) -> Tensor:
        x = self.positions(self.embedding(tokens))
        segments = torch.zeros_like(tokens) if segments is None else segments
        require_tokens(segments, name="segments")
        if segments.shape != tokens.shape:
            raise ValueError(
                f"segments must have shape {tuple(tokens.shape)} like tokens, "
                f"got {tuple(segments.shape)}"
            )
        last = self.segments.num_embeddings - 1
        if segments.numel() and not 0 <= segments.min() <= segments.max() <= last:
            low, high = (int(end) for end in segments.aminmax())
            raise ValueError(f"segments must lie in 0..{last}, got {low}..{high}")
        return self.dropout(self.norm(x + self.segments(segments)))
