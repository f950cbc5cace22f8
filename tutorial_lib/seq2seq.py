"""A model that reads one sequence of tokens and writes another."""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor, nn
from typing_extensions import Unpack

from tutorial_lib.conditional_model import ConditionalModel
from tutorial_lib.embedding import TokenEmbedding, require_tokens
from tutorial_lib.layer_settings import OptionalLayerSettings
from tutorial_lib.positions import SinusoidalPositionalEncoding
from tutorial_lib.transformer import Transformer
from tutorial_lib.validation import require_counts


class Seq2SeqTransformer(nn.Module):
    r"""Score, at every target position, every token that might come next.

    .. math:: p(t_{i+1} \mid s, t_0, \dots, t_i) = \operatorname{softmax}\left(
        \operatorname{logits}(\operatorname{decoder}(e_t(t), \operatorname{encoder}(e_s(s))))_i
        \right)

    :math:`e` adds the sinusoidal code of the position to the token's embedding. The target's table
    also makes the logits (tied weights).

    Args:
        src_vocab_size: Number of different source tokens.
        tgt_vocab_size: Number of different target tokens; when left out, source and target share
            one vocabulary and one table, as in the paper.
        pad_token: Number of the padding token, in source and target; no query attends to it.
        embed_dim: Width of the tokens inside.
        num_heads: Number of attention heads; divides ``embed_dim``.
        num_layers: Number of encoder layers, and of decoder layers.
        dim_feedforward: Width inside the feed-forward; four times ``embed_dim`` when left out.
        max_len: Longest sequence.
        settings: What each layer is told; see
            :class:`tutorial_lib.layer_settings.LayerSettings`. Dropout acts on the embedded
            tokens too.

    Raises:
        TypeError: If a size is not an integer.
        ValueError: If a size is below 1, or ``pad_token`` is no token of both vocabularies.

    Source: Vaswani et al. (2017), sections 3.1 and 3.4.
    Taught in :doc:`/notebooks/22_decoder_and_generation`.
    """

    def __init__(
        self,
        *,
        src_vocab_size: int,
        tgt_vocab_size: int | None = None,
        pad_token: int,
        embed_dim: int,
        num_heads: int,
        num_layers: int,
        dim_feedforward: int | None = None,
        max_len: int = 512,
        **settings: Unpack[OptionalLayerSettings],
    ) -> None:
        super().__init__()
        require_counts(pad_token=pad_token)
        self.pad_token = pad_token
        self.src_embedding = TokenEmbedding(src_vocab_size, embed_dim)
        self.tgt_embedding = (
            self.src_embedding
            if tgt_vocab_size is None
            else TokenEmbedding(tgt_vocab_size, embed_dim)
        )
        tables = self.src_embedding.table, self.tgt_embedding.table
        last = min(table.num_embeddings for table in tables) - 1
        if pad_token > last:
            raise ValueError(f"pad_token must lie in 0..{last}, got {pad_token}")
        self.positions = SinusoidalPositionalEncoding(
            embed_dim, max_len=max_len, dropout=settings.get("dropout", 0.0)
        )
        self.transformer = Transformer(
            num_encoder_layers=num_layers,
            num_decoder_layers=num_layers,
            embed_dim=embed_dim,
            num_heads=num_heads,
            dim_feedforward=4 * embed_dim if dim_feedforward is None else dim_feedforward,
            **settings,
        )

    def forward(
        self, src: Int[Tensor, "batch source"], tgt: Int[Tensor, "batch target"]
    ) -> Float[Tensor, "batch target vocab_size"]:
        """Score the next token at every position of the target.

        Args:
            src: Source tokens, padded on the right.
            tgt: Target tokens from the start token on, padded on the right.

        Returns:
            The logits.

        Raises:
            TypeError: If the tokens are not tensors of integers.
            ValueError: If a token is out of range, a sequence too long, or the batches differ.
        """
        require_tokens(tgt, name="tgt")
        given = self.given(src)
        if len(tgt) != len(src):
            raise ValueError(f"tgt must have batch {len(src)} like src, got {len(tgt)}")
        return given(tgt)

    def given(self, src: Int[Tensor, "batch source"]) -> ConditionalModel:
        """Encode the source once, for any number of target tokens.

        Args:
            src: Source tokens, padded on the right.

        Returns:
            A model of the target, as :mod:`tutorial_lib.generation` takes it.

        Raises:
            TypeError: If the tokens are not a tensor of integers.
            ValueError: If a token is out of range, or a sequence too long.
        """
        require_tokens(src, name="src")
        x = self.positions(self.src_embedding(src))
        mask = (src != self.pad_token)[:, None, None, :]
        return ConditionalModel(
            self.tgt_embedding,
            self.positions,
            self.transformer.decoder,
            self.transformer.encoder(x, mask),
            mask,
        )
