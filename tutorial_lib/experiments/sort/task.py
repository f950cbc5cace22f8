"""Train a network that reads one sequence and writes another."""

from __future__ import annotations

from jaxtyping import Float, Int
from torch import Tensor, nn

from tutorial_lib.beam_search import beam_search
from tutorial_lib.generation import greedy_search
from tutorial_lib.lightning.task import Means, Schedule, Task
from tutorial_lib.next_token import WritingOptions
from tutorial_lib.teacher_forcing import (
    require_special_tokens,
    shifted,
    token_cross_entropy,
    token_means,
    written_right,
)
from tutorial_lib.training import evaluating
from tutorial_lib.validation import require_positive, require_probability

Batch = tuple[Int[Tensor, "batch source"], Int[Tensor, "batch target"]]


class Seq2SeqTask(Task):
    r"""Write the target of a source: a :class:`~tutorial_lib.lightning.task.Task`, teacher forced.

    .. math:: \mathcal L = -\frac{1}{|R|} \sum_{(b,i) \in R} \log p(t_{b,i+1} \mid s_b,
        t_{b,0}, \dots, t_{b,i})

    R leaves the padding out. The means of validation are ``loss`` and ``accuracy``, the share of
    target tokens that are right after the right beginning. That of the test is ``exact_match``: the
    share of targets that greedy search writes without one mistake, reading the source alone.

    Args:
        network: Maps source and target tokens to logits ``(batch, target, vocab_size)``; its
            ``given(source)`` is a model that :func:`tutorial_lib.generation.greedy_search` takes.
        pad_token: The padding token; its labels do not count.
        start_token: What every target starts with.
        end_token: What every target ends with.
        learning_rate: Peak rate.
        warmup_steps: Optimizer steps below the peak.
        label_smoothing: Share of the target probability that is spread over all tokens while
            training.
        use_cache: Whether the network's targets can be written with a cache.
        schedule: How the rate falls behind its peak: "cosine" or "inverse_sqrt".

    Raises:
        TypeError: If a token is not an integer; or as ``Task`` does.
        ValueError: If ``label_smoothing`` lies outside [0, 1), a token is negative, or two of the
            three tokens the same; or as ``Task`` does.

    Taught in :doc:`/notebooks/33_torch_transformer_in_lightning`, with the paper's schedule and
    beam search in :doc:`/notebooks/43_translation`.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        pad_token: int,
        start_token: int,
        end_token: int,
        learning_rate: float = 1e-3,
        warmup_steps: int = 50,
        label_smoothing: float = 0.0,
        use_cache: bool = True,
        schedule: Schedule = "cosine",
    ) -> None:
        super().__init__(
            network, learning_rate=learning_rate, warmup_steps=warmup_steps, schedule=schedule
        )
        require_special_tokens(pad_token=pad_token, start_token=start_token, end_token=end_token)
        require_probability(label_smoothing=label_smoothing)
        self.save_hyperparameters(ignore=["network"])
        self.pad_token, self.start_token, self.end_token = pad_token, start_token, end_token
        self.label_smoothing, self.use_cache = label_smoothing, use_cache

    def generate(
        self,
        src: Int[Tensor, "batch source"],
        *,
        max_new_tokens: int,
        num_beams: int = 1,
        length_penalty: float = 0.0,
    ) -> Int[Tensor, "batch length"]:
        """Write the targets of some sources, by greedy search or by beam search.

        The network is put into evaluation mode, and back into the mode it was in.

        Args:
            src: Source tokens.
            max_new_tokens: Most tokens to write, the end token included.
            num_beams: Number of hypotheses that beam search follows; 1 is greedy search.
            length_penalty: See :func:`tutorial_lib.beam_search.beam_search`; greedy search needs
                none.

        Returns:
            Targets from the start token on, padded behind the end token.

        Raises:
            TypeError: If a number is not an integer, or ``length_penalty`` not a number.
            ValueError: If a number is below 1, ``length_penalty`` negative, or a token out of
                range.
        """
        require_positive(num_beams=num_beams)
        options: WritingOptions = {
            "max_new_tokens": max_new_tokens,
            "stop_token": self.end_token,
            "pad_token": self.pad_token,
            "use_cache": self.use_cache,
        }
        prompt = src.new_full((len(src), 1), self.start_token)
        with evaluating(self.network):
            given = self.network.given(src)  # type: ignore[operator]
            if num_beams == 1:
                return greedy_search(given, prompt, **options)
            beams = beam_search(
                given, prompt, num_beams=num_beams, length_penalty=length_penalty, **options
            )
            return beams.tokens[:, 0]

    def loss(self, batch: Batch) -> Float[Tensor, ""]:
        """Average the smoothed cross-entropy over the labels that are no padding."""
        src, tgt = batch
        tokens, labels = shifted(tgt)
        smoothing = self.label_smoothing
        return token_cross_entropy(
            self(src, tokens), labels, pad_token=self.pad_token, label_smoothing=smoothing
        )

    def means(self, batch: Batch) -> Means:
        """Measure loss and accuracy, means over the labels that are no padding."""
        src, tgt = batch
        tokens, labels = shifted(tgt)
        return token_means(self(src, tokens), labels, pad_token=self.pad_token)

    def test_step(self, batch: Batch, batch_idx: int) -> None:
        """Log the share of a test batch's targets that are written without one mistake."""
        src, tgt = batch
        written = self.generate(src, max_new_tokens=tgt.shape[1] - 1)
        right = written_right(written, tgt, pad_token=self.pad_token)
        self.log_means("test", {"exact_match": (right.float().mean(), len(src))})
