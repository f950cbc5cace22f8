"""Teacher forcing: every position of a target is a question, and the next token its answer."""

from __future__ import annotations

import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from tutorial_lib.validation import require_counts, require_probability

PAD, START, END = 0, 1, 2  # the book's special tokens, where a vocabulary has them
NO_LABEL = -100  # PyTorch's and Hugging Face's label of a token that does not count


def shifted(
    tokens: Int[Tensor, "batch length"],
) -> tuple[Int[Tensor, "batch input"], Int[Tensor, "batch input"]]:
    r"""Split sequences into what a decoder reads and what it should say.

    .. math:: \text{input} = (t_0, \dots, t_{n-1}), \qquad \text{label} = (t_1, \dots, t_n)

    Args:
        tokens: The sequences, from the start token to the end token and its padding.

    Returns:
        The sequences without their last token, and without their first.

    Raises:
        ValueError: If there are not two axes, or fewer than two tokens a sequence.

    Source: Williams and Zipser (1989). Taught in :doc:`/notebooks/22_decoder_and_generation`.
    """
    if tokens.ndim != 2 or tokens.shape[1] < 2:
        raise ValueError(
            f"tokens must have shape (batch, length) and length at least 2, "
            f"got {tuple(tokens.shape)}"
        )
    return tokens[:, :-1], tokens[:, 1:]


def token_cross_entropy(
    logits: Float[Tensor, "batch length vocab_size"],
    labels: Int[Tensor, "batch length"],
    *,
    pad_token: int | None = None,
    label_smoothing: float = 0.0,
) -> Float[Tensor, ""]:
    r"""Average the cross-entropy over the labels that are no padding.

    .. math:: \mathcal L = -\frac{1}{|R|} \sum_{(b,i) \in R} \log p(t_{b,i+1} \mid \dots),
        \qquad R = \{(b, i) : t_{b,i+1} \ne \text{pad}\}

    Args:
        logits: Scores of the next token.
        labels: The next tokens.
        pad_token: The label that does not count; ``NO_LABEL`` = -100 when left out.
        label_smoothing: Share of the target probability that is spread over all tokens.

    Returns:
        The loss; 0 where every label is padding.

    Raises:
        TypeError: If ``label_smoothing`` is not a number.
        ValueError: If the shapes do not fit, or ``label_smoothing`` lies outside [0, 1).

    Source: Vaswani et al. (2017), section 5.4 on label smoothing.
    Taught in :doc:`/notebooks/22_decoder_and_generation`.
    """
    require_probability(label_smoothing=label_smoothing)
    if logits.ndim != 3 or labels.shape != logits.shape[:2]:
        raise ValueError(
            f"labels must have shape (batch, length) to fit logits "
            f"(batch, length, vocab_size) = {tuple(logits.shape)}, got {tuple(labels.shape)}"
        )
    ignored = NO_LABEL if pad_token is None else pad_token
    total = F.cross_entropy(
        logits.flatten(0, 1),
        labels.flatten(),
        ignore_index=ignored,
        label_smoothing=label_smoothing,
        reduction="sum",
    )
    return total / (labels != ignored).sum().clamp(min=1)


def token_means(
    logits: Float[Tensor, "batch length vocab_size"],
    labels: Int[Tensor, "batch length"],
    *,
    pad_token: int,
) -> dict[str, tuple[Float[Tensor, ""], int]]:
    """Measure the cross-entropy, and the share of tokens that are right after the right beginning.

    Args:
        logits: Scores of the next token.
        labels: The next tokens.
        pad_token: The label that does not count.

    Returns:
        ``loss`` and ``accuracy``, each with the number of labels that it is the mean of.

    Taught in :doc:`/notebooks/33_torch_transformer_in_lightning`.
    """
    counted = labels != pad_token
    loss = token_cross_entropy(logits, labels, pad_token=pad_token)
    accuracy = (logits.argmax(dim=-1) == labels)[counted].float().mean()
    count = int(counted.sum())
    return {"loss": (loss, count), "accuracy": (accuracy, count)}


def written_right(
    written: Int[Tensor, "batch _"], targets: Int[Tensor, "batch length"], *, pad_token: int
) -> Bool[Tensor, " batch"]:
    """Say which sequences were written without one mistake.

    Args:
        written: What was written; not longer than the targets.
        targets: What should be there, padded on the right.
        pad_token: The padding token.

    Returns:
        True where all tokens are the same, the padding among them.

    Taught in :doc:`/notebooks/33_torch_transformer_in_lightning`.
    """
    missing = targets.shape[1] - written.shape[1]
    return (F.pad(written, (0, missing), value=pad_token) == targets).all(dim=1)


def require_special_tokens(*, pad_token: int, start_token: int, end_token: int) -> None:
    """Raise unless padding, start and end are three different tokens.

    Args:
        pad_token: The padding token.
        start_token: What every target starts with.
        end_token: What every target ends with.

    Raises:
        TypeError: If one is not an integer.
        ValueError: If one is negative, or two are the same.
    """
    require_counts(pad_token=pad_token, start_token=start_token, end_token=end_token)
    if len({pad_token, start_token, end_token}) < 3:
        raise ValueError(
            f"pad_token, start_token and end_token must differ, "
            f"got {pad_token}, {start_token} and {end_token}"
        )
