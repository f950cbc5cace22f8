"""Predict the next token by counting: n-grams with Kneser-Ney smoothing."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from tutorial_lib.embedding import require_tokens
from tutorial_lib.validation import kind_of, require_positive


@dataclass(frozen=True)
class _Counts:
    """The n-grams of one length k.

    A number stands for each n-gram: its place among ``grams``, in which an n-gram is written as the
    number of its first k - 1 tokens times the vocabulary's size, plus its last token.

    Args:
        grams: The n-grams that occur, sorted.
        kept: Count of each, less its discount.
        total: Sum of the counts behind each context.
        freed: Sum of the discounts behind each context.
    """

    grams: Int[Tensor, " grams"]
    kept: Float[Tensor, " grams"]
    total: Float[Tensor, " contexts"]
    freed: Float[Tensor, " contexts"]


class KneserNey:
    r"""Count what follows what, and lean on shorter contexts where the counts are small.

    .. math::
        p_k(w \mid h) = \frac{c(hw) - D(c(hw))}{\sum_v c(hv)}
        + \frac{\sum_v D(c(hv))}{\sum_v c(hv)}\, p_{k-1}(w \mid h')

    h are the k - 1 tokens before w, and h' is h without its first. The first term counts where
    hw occurs. For the longest n-grams c is how often hw occurs, for shorter ones by how many
    different tokens it is preceded; the beginning of the text counts as one. Where h does not
    occur, :math:`p_k = p_{k-1}`, and :math:`p_0 = 1/V`. The discounts of counts 1, 2, ... are

    .. math:: D_j = j - (j + 1) \frac{n_1}{n_1 + 2 n_2} \frac{n_{j+1}}{n_j}

    with :math:`n_j` n-grams of count j; larger counts have the last one. Where that is not between
    0 and j, or some :math:`n_j` is 0, it is 1/2.

    Args:
        tokens: The text that is counted.
        vocab_size: Number of different tokens, V.
        order: Length n of the longest n-grams; 1 looks at no context.
        num_discounts: 1 as Kneser and Ney have it; 3 is the "modified" kind of Chen and Goodman.

    Raises:
        TypeError: If a size is not an integer, or ``tokens`` not a tensor of int64.
        ValueError: If a size is below 1, there are not ``order`` tokens, or one is out of range.

    Source: Kneser and Ney (1995); Chen and Goodman (1999), section 3.
    Taught in :doc:`/notebooks/44_tiny_gpt`.
    """

    training = False  # it has no mode: decoding asks for that

    def __init__(
        self,
        tokens: Int[Tensor, " length"],
        *,
        vocab_size: int,
        order: int,
        num_discounts: int = 3,
    ) -> None:
        require_positive(vocab_size=vocab_size, order=order, num_discounts=num_discounts)
        self.vocab_size, self.order = vocab_size, order
        self._require_stream(tokens)
        if len(tokens) < order:
            raise ValueError(f"tokens must be at least order={order}, got {len(tokens)}")
        self.counts: list[_Counts] = []
        context = torch.zeros_like(tokens)  # number of the tokens before each: none so far
        for length in range(1, order + 1):
            written = context * vocab_size + tokens[length - 1 :]
            grams, number = written.unique(return_inverse=True)
            count = torch.bincount(number)
            if length < order:  # how many different tokens, or the beginning, stand before it
                before = torch.cat([tokens.new_tensor([vocab_size]), tokens[:-length]])
                pairs = (number * (vocab_size + 1) + before).unique()
                count = torch.bincount(pairs // (vocab_size + 1))
            discounts = _discounts(count, num_discounts)[count.clamp(max=num_discounts)]
            behind = grams // vocab_size
            contexts = len(self.counts[-1].grams) if self.counts else 1
            total, freed = (
                torch.bincount(behind, weights=values, minlength=contexts)
                for values in (count.double(), discounts)
            )
            self.counts.append(_Counts(grams, count - discounts, total, freed))
            context = number[:-1]

    def __call__(
        self, tokens: Int[Tensor, "batch length"]
    ) -> Float[Tensor, "batch length vocab_size"]:
        """Score the next token at every position, as a network does.

        Args:
            tokens: Sequences of tokens; each knows nothing of what stands before it.

        Returns:
            Logarithms of the probabilities.

        Raises:
            TypeError: If ``tokens`` is not a tensor of integers.
            ValueError: If it has not two axes, or a token is out of range.
        """
        require_tokens(tokens, name="tokens")
        everything = torch.arange(self.vocab_size)
        rows = [self._probabilities(self._contexts(row), everything) for row in tokens.unbind()]
        return torch.stack(rows).log()

    def token_losses(self, tokens: Int[Tensor, " length"]) -> Float[Tensor, " labels"]:
        r"""Say how surprising every token of a text is after those before it.

        .. math:: \ell_i = -\log p_n(t_i \mid t_{i-n+1}, \dots, t_{i-1})

        Args:
            tokens: A text; its first token is given.

        Returns:
            The losses of all tokens but the first, in nats.

        Raises:
            TypeError: If ``tokens`` is not a tensor of int64.
            ValueError: If there are not two tokens, or one is out of range.
        """
        self._require_stream(tokens)
        if len(tokens) < 2:
            raise ValueError(f"tokens must be at least 2, got {len(tokens)}")
        contexts = [numbers[:-1] for numbers in self._contexts(tokens)]
        return -self._probabilities(contexts, tokens[1:, None])[:, 0].log()

    def matched(self, tokens: Int[Tensor, " length"]) -> Int[Tensor, " labels"]:
        """Say how much of its context each token of a text shares with the counted text.

        Args:
            tokens: A text; its first token is given.

        Returns:
            For all tokens but the first, the length of the longest context, up to ``order`` - 1,
            that the counted text has somewhere before another token.

        Raises:
            TypeError: If ``tokens`` is not a tensor of int64.
            ValueError: If there are not two tokens, or one is out of range.
        """
        self._require_stream(tokens)
        contexts = [numbers[:-1] for numbers in self._contexts(tokens)]
        known = [
            (numbers >= 0) & (counts.total[numbers.clamp(min=0)] > 0)
            for numbers, counts in zip(contexts, self.counts, strict=True)
        ]
        return torch.stack(known).sum(dim=0) - 1  # the empty context is always known

    def _contexts(self, tokens: Tensor) -> list[Tensor]:
        """Number the last 0, 1, ..., n - 1 tokens at each position; -1 where they do not occur."""
        numbers = [torch.zeros_like(tokens)]
        before = torch.zeros_like(tokens)  # the tokens before each position
        for counts in self.counts[:-1]:
            written = before * self.vocab_size + tokens
            numbers.append(_place(counts.grams, torch.where(before < 0, -1, written)))
            before = torch.cat([tokens.new_tensor([-1]), numbers[-1][:-1]])
        return numbers

    def _probabilities(self, contexts: list[Tensor], following: Tensor) -> Tensor:
        """Give each context's probabilities of tokens ``(contexts or 1, choices)``."""
        p = torch.full((1, 1), 1 / self.vocab_size, dtype=torch.float64)
        for numbers, counts in zip(contexts, self.counts, strict=True):
            number = numbers.clamp(min=0)[:, None]
            total = counts.total[number]
            known = (numbers[:, None] >= 0) & (total > 0)
            place = _place(counts.grams, number * self.vocab_size + following)
            kept = torch.where(place >= 0, counts.kept[place], 0.0)
            p = torch.where(known, (kept + counts.freed[number] * p) / total.clamp(min=1), p)
        return p

    def _require_stream(self, tokens: Tensor) -> None:
        if not isinstance(tokens, Tensor) or tokens.dtype != torch.int64:
            raise TypeError(f"tokens must be a tensor of int64, got {kind_of(tokens)}")
        if tokens.ndim != 1:
            raise ValueError(f"tokens must have one axis, got shape {tuple(tokens.shape)}")
        if len(tokens) and not 0 <= int(tokens.min()) <= int(tokens.max()) < self.vocab_size:
            low, high = (int(end) for end in tokens.aminmax())
            raise ValueError(f"tokens must lie in 0..{self.vocab_size - 1}, got {low}..{high}")


def _place(ordered: Tensor, wanted: Tensor) -> Tensor:
    place = torch.searchsorted(ordered, wanted).clamp(max=len(ordered) - 1)
    return torch.where(ordered[place] == wanted, place, -1)


def _discounts(count: Tensor, num_discounts: int) -> Tensor:
    """Estimate D of the counts 0 to ``num_discounts``; 0 has none."""
    n = [0, *(int((count == j).sum()) for j in range(1, num_discounts + 2))]
    discounts = [0.0]
    for j in range(1, num_discounts + 1):
        found = 0.0
        if n[1] and n[j]:
            found = j - (j + 1) * n[1] / (n[1] + 2 * n[2]) * n[j + 1] / n[j]
        discounts.append(found if 0 < found < j else 0.5)
    return torch.tensor(discounts, dtype=torch.float64)
