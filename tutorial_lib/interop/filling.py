"""The last step to every twin: another's weights in our module."""

from __future__ import annotations

from typing import TypeVar

from torch import Tensor, nn

Twin = TypeVar("Twin", bound=nn.Module)


def filled(twin: Twin, state: dict[str, Tensor], *, like: nn.Module) -> Twin:
    """Copy weights into a twin.

    Args:
        twin: Our module.
        state: A tensor for each of its weights.
        like: Sets the float type, the device and the training mode.

    Returns:
        The twin.

    Raises:
        RuntimeError: If a weight is missing, not wanted, or of another shape.
    """
    weight = next(like.parameters())
    twin.to(device=weight.device, dtype=weight.dtype).load_state_dict(state)
    return twin.train(like.training)
