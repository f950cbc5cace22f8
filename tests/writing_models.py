"""Small models for the tests of greedy search, sampling and beam search, and their prompts."""

from __future__ import annotations

import functools

import torch
from hypothesis import settings
from reference import randomized

from tutorial_lib.language_model import TransformerLanguageModel
from tutorial_lib.seq2seq import Seq2SeqTransformer

POSITIONS = ("learned", "sinusoidal", "rotary", "alibi")
NO_CACHE = {"use_cache": False}

few_examples = settings(max_examples=6)  # each is some dozens of forward passes


class Table:
    """A model whose next token depends on the last one alone, by a table of probabilities."""

    training = False

    def __init__(self, *rows: list[float]) -> None:
        self.log_p = torch.tensor(rows, dtype=torch.float64).log()

    def __call__(self, tokens, *, cache=None):
        assert cache is None
        return self.log_p[tokens]

    def make_cache(self, batch_size, capacity):
        raise AssertionError("no cache is wanted")


def talkative(model, seed):
    """Draw the parameters; with a bias of about 1 the same token would win at every step."""
    randomized(model, seed=seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if name.endswith("bias"):
                parameter.zero_()
    return model.eval()


@functools.cache
def language_model(seed=0, *, vocab_size=6, positions="learned", num_layers=1):
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)  # the tables of sines, too
    try:
        model = TransformerLanguageModel(
            vocab_size=vocab_size,
            embed_dim=8,
            num_heads=2,
            num_layers=num_layers,
            dim_feedforward=8,
            max_len=16,
            positions=positions,
            tie_weights=False,
        )
    finally:
        torch.set_default_dtype(before)
    return talkative(model, seed)


@functools.cache
def seq2seq_model(seed=0, *, vocab_size=6):
    model = Seq2SeqTransformer(
        src_vocab_size=7,
        tgt_vocab_size=vocab_size,
        pad_token=0,
        embed_dim=8,
        num_heads=2,
        num_layers=1,
        dim_feedforward=8,
        max_len=16,
    )
    return talkative(model.double(), seed)


def draw(*shape, vocab_size=6, seed=0):
    return torch.randint(vocab_size, shape, generator=torch.Generator().manual_seed(seed))


def flush_right(rows):
    """Put prompts of several lengths into one batch, behind padding that looks like tokens."""
    longest = max(len(row) for row in rows)
    padding = torch.tensor([longest - len(row) for row in rows])
    tokens = draw(len(rows), longest, seed=99)
    for row, prompt in zip(tokens, rows, strict=True):
        row[longest - len(prompt) :] = prompt
    return tokens, padding


def without_filler(tokens, given_length, stop_token):
    """Cut what follows the first stop token behind the prompt."""
    written = tokens[given_length:].tolist()
    if stop_token in written:
        written = written[: written.index(stop_token) + 1]
    return written


# 0 -> 1 -> 2 -> 3 -> 3; 4 -> 3
CHAIN = Table(
    [0.1, 0.6, 0.1, 0.1, 0.1],
    [0.1, 0.1, 0.6, 0.1, 0.1],
    [0.1, 0.1, 0.1, 0.6, 0.1],
    [0.1, 0.1, 0.1, 0.6, 0.1],
    [0.1, 0.1, 0.1, 0.6, 0.1],
)
