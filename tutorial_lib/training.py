"""A training loop in plain PyTorch, and a look at a network that leaves no trace in training."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Int, Shaped
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from tutorial_lib.teacher_forcing import token_cross_entropy

Inputs = Shaped[Tensor, "batch ..."]


def fit(
    network: nn.Module,
    batches: Iterable[tuple[Inputs | tuple[Inputs, ...], Int[Tensor, "batch length"]]],
    optimizer: Optimizer,
    scheduler: LRScheduler | None = None,
    *,
    pad_token: int | None = None,
) -> Shaped[Tensor, " step"]:
    r"""Take one optimizer step a batch on the cross-entropy of every token.

    .. math:: \mathcal L = -\frac{1}{|R|} \sum_{(b,t) \in R} \log p(y_{b,t} \mid x_b)

    R are the labels that count. The network is put into training mode and stays in it.

    Args:
        network: Maps the inputs to logits ``(batch, length, num_classes)``.
        batches: Inputs, a tensor or a tuple of tensors, and labels ``(batch, length)``; gone
            through once, in order.
        optimizer: Holds the parameters that are trained.
        scheduler: Its ``step()`` follows every optimizer step; the rates stay when left out.
        pad_token: The label that does not count; ``NO_LABEL`` = -100 when left out.

    Returns:
        The loss of each batch, measured before its step.

    Raises:
        ValueError: If there is no batch, or labels do not fit the logits.

    Taught in :doc:`/notebooks/32_warmup_and_schedules`.
    """
    network.train()
    losses = []
    for inputs, labels in batches:
        logits = network(*inputs) if isinstance(inputs, tuple) else network(inputs)
        loss = token_cross_entropy(logits, labels, pad_token=pad_token)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if scheduler is not None:
            scheduler.step()
        losses.append(loss.detach())
    if not losses:
        raise ValueError("batches must hold at least one batch, got none")
    return torch.stack(losses)


@contextmanager
def evaluating(module: nn.Module) -> Iterator[None]:
    """Put a module into evaluation mode, without gradients; then each part back into its own.

    Args:
        module: The module; some of its parts may be in evaluation mode already, and stay there.
    """
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for part, training in modes:
            part.training = training
