"""A decoder-only model: tokens in, scores of the next token out."""

from __future__ import annotations

from typing import Literal

from jaxtyping import Float, Int
from torch import Tensor, nn

from tutorial_lib.cache import KVCache
from tutorial_lib.decoder import TransformerDecoder
from tutorial_lib.embedding import TokenEmbedding
from tutorial_lib.feed_forward import Activation
from tutorial_lib.left_padding import require_left_padding, token_positions
from tutorial_lib.masks import padding_mask
from tutorial_lib.positions import LearnedPositionalEmbedding, SinusoidalPositionalEncoding
from tutorial_lib.validation import require_positive, require_probability

Positions = Literal["learned", "sinusoidal", "rotary", "alibi"]


class TransformerLanguageModel(nn.Module):
    r"""Score, at every position, every token that might come next.

    .. math:: p(t_{i+1} \mid t_0, \dots, t_i) = \operatorname{softmax}\left(
        \operatorname{logits}(\operatorname{decoder}(\operatorname{embed}(t) + P))_i\right)

    The decoder is causal and reads no memory. P is a learned or sinusoidal code of the positions,
    or nothing where the attention itself is told the distances (rotary, ALiBi).

    Args:
        vocab_size: Number of different tokens.
        embed_dim: Width of the tokens inside.
        num_heads: Number of attention heads; divides ``embed_dim``.
        num_layers: Number of decoder layers.
        dim_feedforward: Width inside the feed-forward; four times ``embed_dim`` when left out.
        max_len: Longest sequence that learned and sinusoidal positions have a code for. Rotary
            ones end at 4096, ALiBi nowhere.
        positions: "learned", "sinusoidal", "rotary" or "alibi".
        dropout: Probability of dropping while training.
        norm_first: Pre-norm if true, the paper's post-norm if false.
        activation: The feed-forward's nonlinearity, "relu", "gelu" or "gelu_tanh".
        layer_norm_eps: What LayerNorm adds to the variance.
        scale_embedding: Whether the tokens' vectors are multiplied by the root of their width.
        tie_weights: Whether the logits are made with the embedding's table, or with one of their
            own.

    Raises:
        TypeError: If a size is not an integer, or another setting not a number.
        ValueError: If a size is below 1, ``num_heads`` does not divide ``embed_dim``,
            ``dropout`` lies outside [0, 1), ``layer_norm_eps`` is not above 0, or ``positions``
            or ``activation`` is not known.

    Source: Radford et al. (2019), section 2.3; weight tying: Press and Wolf (2017).
    Taught in :doc:`/notebooks/22_decoder_and_generation`.
    """

    def __init__(
        self,
        *,
        vocab_size: int,
        embed_dim: int,
        num_heads: int,
        num_layers: int,
        dim_feedforward: int | None = None,
        max_len: int = 1024,
        positions: Positions = "learned",
        dropout: float = 0.0,
        norm_first: bool = True,
        activation: Activation = "gelu",
        layer_norm_eps: float = 1e-5,
        scale_embedding: bool = True,
        tie_weights: bool = True,
    ) -> None:
        super().__init__()
        require_positive(embed_dim=embed_dim, max_len=max_len)
        require_probability(dropout=dropout)
        self.embedding = TokenEmbedding(vocab_size, embed_dim, scale=scale_embedding)
        if positions == "learned":
            self.positions = LearnedPositionalEmbedding(embed_dim, max_len=max_len)
        elif positions == "sinusoidal":
            self.positions = SinusoidalPositionalEncoding(embed_dim, max_len=max_len)
        elif positions in ("rotary", "alibi"):
            self.positions = None
        else:
            raise ValueError(
                f"positions must be 'learned', 'sinusoidal', 'rotary' or 'alibi', got {positions!r}"
            )
        self.dropout = nn.Dropout(dropout)
        self.decoder = TransformerDecoder(
            num_layers=num_layers,
            embed_dim=embed_dim,
            num_heads=num_heads,
            dim_feedforward=4 * embed_dim if dim_feedforward is None else dim_feedforward,
            dropout=dropout,
            norm_first=norm_first,
            activation=activation,
            layer_norm_eps=layer_norm_eps,
            cross_attention=False,
            relative_positions=positions if positions in ("rotary", "alibi") else None,
        )
        self.head = None if tie_weights else nn.Linear(embed_dim, vocab_size, bias=False)

    def forward(
        self,
        tokens: Int[Tensor, "batch length"],
        *,
        left_padding: Int[Tensor, " batch"] | None = None,
        cache: KVCache | None = None,
    ) -> Float[Tensor, "batch length vocab_size"]:
        """Score the next token at every position.

        Args:
            tokens: Token numbers; with a cache, those that it has not seen yet.
            left_padding: Number of padding tokens at the left of each sequence; a cache knows its
                own.
            cache: What earlier calls have seen, from :meth:`make_cache`; the tokens are added.

        Returns:
            The logits.

        Raises:
            RuntimeError: If a cache is used while gradients are recorded.
            TypeError: If ``tokens`` or ``left_padding`` is not a tensor of integers.
            ValueError: If a token is out of range, the sequence is too long for the positions,
                or ``left_padding`` or the cache does not fit.
        """
        x = self.embedding(tokens)
        left_padding, start = self._padding_and_start(tokens, left_padding, cache)
        end = start + tokens.shape[1]
        if self.positions is not None:
            x = self.positions(x, token_positions(left_padding, start, end, device=x.device))
        mask = None
        if left_padding is not None:
            mask = padding_mask((end - left_padding).clamp(min=0), end, side="left")
        x = self.decoder(self.dropout(x), attn_mask=mask, is_causal=True, cache=cache)
        return self.embedding.logits(x) if self.head is None else self.head(x)

    def make_cache(
        self,
        batch_size: int,
        capacity: int,
        *,
        left_padding: Int[Tensor, " batch"] | None = None,
    ) -> KVCache:
        """Make an empty cache of this model's sizes, float type and device.

        Args:
            batch_size: Number of sequences.
            capacity: Number of positions there is room for.
            left_padding: Number of padding tokens at the left of each sequence.

        Returns:
            The cache.

        Raises:
            TypeError: If a size is not an integer, or ``left_padding`` no tensor of integers.
            ValueError: If a size is below 1, or ``left_padding`` does not fit.
        """
        return self.decoder.make_cache(batch_size, capacity, left_padding=left_padding)

    def _padding_and_start(
        self, tokens: Tensor, left_padding: Tensor | None, cache: KVCache | None
    ) -> tuple[Tensor | None, int]:
        if cache is None:
            require_left_padding(left_padding, len(tokens), most=tokens.shape[1])
            return left_padding, 0
        if left_padding is not None and left_padding is not cache.left_padding:
            raise ValueError("left_padding must be left out with a cache: it was told at the start")
        return cache.left_padding, cache.length
