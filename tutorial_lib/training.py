"""A training loop in plain PyTorch, for the chapters that look at training itself."""

from __future__ import annotations

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler


def fit(
    network: nn.Module,
    batches: Iterable[tuple[Float[Tensor, "batch length input_dim"], Int[Tensor, "batch length"]]],
    optimizer: Optimizer,
    scheduler: LRScheduler | None = None,
) -> Float[Tensor, " step"]:
    r"""Take one optimizer step a batch on the cross-entropy of every token.

    .. math:: \mathcal L = -\frac{1}{BT} \sum_{b,t} \log p(y_{b,t} \mid x_b)

    The network is put into training mode and stays in it.

    Args:
        network: Maps inputs ``(batch, length, input_dim)`` to logits
            ``(batch, length, num_classes)``.
        batches: Inputs, and labels ``(batch, length)``; gone through once, in order.
        optimizer: Holds the parameters that are trained.
        scheduler: Its ``step()`` follows every optimizer step; the rates stay when left out.

    Returns:
        The loss of each batch, measured before its step.

    Raises:
        ValueError: If there is no batch, or labels do not fit the logits.

    Taught in :doc:`/notebooks/32_warmup_and_schedules`.
    """
    network.train()
    losses = []
    for inputs, labels in batches:
        logits = network(inputs)
        if logits.ndim != 3 or labels.shape != logits.shape[:2]:
            raise ValueError(
                f"labels must have shape (batch, length) to fit logits "
                f"(batch, length, num_classes) = {tuple(logits.shape)}, got {tuple(labels.shape)}"
            )
        loss = F.cross_entropy(logits.flatten(0, 1), labels.flatten())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if scheduler is not None:
            scheduler.step()
        losses.append(loss.detach())
    if not losses:
        raise ValueError("batches must hold at least one batch, got none")
    return torch.stack(losses)
