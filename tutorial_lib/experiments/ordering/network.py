"""Networks that give every token one score: Hugging Face's, and ours behind the same call."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformers import AutoModelForTokenClassification, BertConfig, PreTrainedModel

from tutorial_lib.embedding import require_tokens
from tutorial_lib.encoder import TransformerEncoder
from tutorial_lib.positions import SinusoidalPositionalEncoding, sinusoidal_encoding
from tutorial_lib.validation import require_positive

_INIT_STD = 0.1  # of the weights; Hugging Face's 0.02 suits wider networks


class TokenScores(NamedTuple):
    """What a scorer returns, as Hugging Face's models do.

    Args:
        logits: One score for each token.
    """

    logits: Float[Tensor, "batch length 1"]


def hugging_face_scorer(
    pretrained: str | None = None,
    *,
    vocab_size: int = 128,
    segments: int = 6,
    max_len: int = 64,
    embed_dim: int = 48,
    num_heads: int = 4,
    num_layers: int = 2,
) -> PreTrainedModel:
    """Make Hugging Face's token classifier with one score a token.

    Without ``pretrained`` it is a small BERT with random weights; two of its starting values are
    not random: its table of positions is that of the sines, and its keys look for what its
    queries are, so that a token first attends to tokens like itself, nearby and in its sentence.

    Args:
        pretrained: Name or folder of a pretrained model; the sizes are then its own.
        vocab_size: Number of different tokens.
        segments: Number of different segment numbers.
        max_len: Longest row.
        embed_dim: Width of the tokens.
        num_heads: Number of attention heads; divides ``embed_dim``.
        num_layers: Number of encoder layers.

    Returns:
        The model, in training mode, with ``attn_implementation="eager"`` so that it can show its
        attention maps.

    Raises:
        TypeError: If a size is not an integer.
        ValueError: If a size is below 1, or ``num_heads`` does not divide ``embed_dim``.
        OSError: If ``pretrained`` is neither a folder nor a model that can be loaded.

    Source: Devlin et al. (2019); Trockman and Kolter (2023) for keys like queries.
    Taught in :doc:`/notebooks/46_sentence_ordering`.
    """
    if pretrained is not None:
        loaded = AutoModelForTokenClassification.from_pretrained(
            pretrained, num_labels=1, attn_implementation="eager"
        )
        return loaded.train()  # it comes in evaluation mode, and Lightning would leave it there
    require_positive(
        vocab_size=vocab_size,
        segments=segments,
        max_len=max_len,
        embed_dim=embed_dim,
        num_heads=num_heads,
        num_layers=num_layers,
    )
    if embed_dim % num_heads:
        raise ValueError(f"num_heads must divide embed_dim={embed_dim}, got {num_heads}")
    config = BertConfig(
        vocab_size=vocab_size,
        type_vocab_size=segments,
        max_position_embeddings=max_len,
        hidden_size=embed_dim,
        intermediate_size=2 * embed_dim,
        num_attention_heads=num_heads,
        num_hidden_layers=num_layers,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        initializer_range=_INIT_STD,
        num_labels=1,  # type: ignore[call-arg]
    )
    model = AutoModelForTokenClassification.from_config(config, attn_implementation="eager")
    with torch.no_grad():
        # sqrt(2) gives the sines the root mean square of the other embeddings.
        sines = 2**0.5 * _INIT_STD * sinusoidal_encoding(max_len, embed_dim)
        model.bert.embeddings.position_embeddings.weight.copy_(sines)
        for layer in model.bert.encoder.layer:
            layer.attention.self.key.weight.copy_(layer.attention.self.query.weight)
    return model


class EncoderScorer(nn.Module):
    r"""Our encoder behind the call of Hugging Face's token classifiers.

    .. math:: s = w^\top \operatorname{encoder}(\operatorname{LN}(E_{x} + S_{k} + PE)) + b

    Args:
        vocab_size: Number of different tokens.
        segments: Number of different segment numbers.
        max_len: Longest row.
        embed_dim: Width of the tokens.
        num_heads: Number of attention heads; divides ``embed_dim``.
        num_layers: Number of encoder layers.

    Raises:
        TypeError: If a size is not an integer.
        ValueError: If a size is below 1, or ``num_heads`` does not divide ``embed_dim``.

    Taught in :doc:`/notebooks/46_sentence_ordering`.
    """

    def __init__(
        self,
        *,
        vocab_size: int = 128,
        segments: int = 6,
        max_len: int = 64,
        embed_dim: int = 48,
        num_heads: int = 4,
        num_layers: int = 2,
    ) -> None:
        super().__init__()
        require_positive(vocab_size=vocab_size, segments=segments, embed_dim=embed_dim)
        self.words = nn.Embedding(vocab_size, embed_dim)
        self.segments = nn.Embedding(segments, embed_dim)
        self.positions = SinusoidalPositionalEncoding(embed_dim, max_len=max_len)
        self.norm = nn.LayerNorm(embed_dim)
        self.encoder = TransformerEncoder(
            num_layers=num_layers,
            embed_dim=embed_dim,
            num_heads=num_heads,
            dim_feedforward=2 * embed_dim,
            activation="gelu",
        )
        self.score = nn.Linear(embed_dim, 1)
        self._start()

    def _start(self) -> None:
        for table in (self.words, self.segments):
            nn.init.normal_(table.weight, std=2**-0.5)  # as long as the sines
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, std=_INIT_STD)
                nn.init.zeros_(module.bias)
        with torch.no_grad():
            for layer in self.encoder.layers:
                attention = layer.self_attn
                attention.k_proj.weight.copy_(attention.q_proj.weight)  # type: ignore[union-attr]

    def forward(
        self,
        input_ids: Int[Tensor, "batch length"],
        attention_mask: Int[Tensor, "batch length"],
        token_type_ids: Int[Tensor, "batch length"] | None = None,
    ) -> TokenScores:
        """Score every token.

        Args:
            input_ids: Token numbers.
            attention_mask: 1 at tokens, 0 at padding.
            token_type_ids: Segment numbers; left out, nothing is added.

        Returns:
            The scores.

        Raises:
            TypeError: If ``input_ids`` is not a tensor of integers.
            ValueError: If it has not two axes.
        """
        require_tokens(input_ids, name="input_ids")
        x = self.words(input_ids)
        if token_type_ids is not None:
            x = x + self.segments(token_type_ids)
        mask = attention_mask.bool()[:, None, None, :]  # (batch, 1, 1, key)
        return TokenScores(self.score(self.encoder(self.norm(self.positions(x)), mask)))
