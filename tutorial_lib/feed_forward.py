"""The feed-forward network: what every position does on its own."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Literal

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from tutorial_lib.validation import require_positive, require_probability, require_width

Activation = Literal["relu", "gelu", "gelu_tanh"]
ACTIVATIONS: dict[Activation, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "gelu": F.gelu,
    "gelu_tanh": partial(F.gelu, approximate="tanh"),
}


class FeedForward(nn.Module):
    r"""Transform every position on its own: widen, bend, narrow.

    .. math:: \operatorname{FFN}(x) = \sigma(x W_1 + b_1) W_2 + b_2

    Args:
        embed_dim: Width of the input and of the output.
        dim_feedforward: Width in between.
        dropout: Probability of dropping an element in between while training.
        activation: The nonlinearity: "relu", "gelu", or "gelu_tanh", the approximation of the GELU
            that GPT-2 uses.
        bias: Whether the two linear maps have a bias.

    Raises:
        TypeError: If a size is not an integer, or another setting not a number.
        ValueError: If a size is below 1, ``dropout`` lies outside [0, 1), or ``activation`` is
            not known.

    Source: Vaswani et al. (2017), equation 2; GELU: Hendrycks and Gimpel (2016).
    Taught in :doc:`/notebooks/21_encoder`.
    """

    def __init__(
        self,
        *,
        embed_dim: int,
        dim_feedforward: int,
        dropout: float = 0.0,
        activation: Activation = "relu",
        bias: bool = True,
    ) -> None:
        super().__init__()
        require_positive(embed_dim=embed_dim, dim_feedforward=dim_feedforward)
        require_probability(dropout=dropout)
        if not isinstance(activation, str) or activation not in ACTIVATIONS:
            raise ValueError(f"activation must be one of {sorted(ACTIVATIONS)}, got {activation!r}")
        self.activation: Activation = activation
        self.linear1 = nn.Linear(embed_dim, dim_feedforward, bias=bias)
        self.dropout = nn.Dropout(dropout)
        self.linear2 = nn.Linear(dim_feedforward, embed_dim, bias=bias)

    def forward(
        self, x: Float[Tensor, "batch length embed_dim"]
    ) -> Float[Tensor, "batch length embed_dim"]:
        """Transform every position.

        Args:
            x: The tokens.

        Returns:
            The transformed tokens.

        Raises:
            ValueError: If the width differs from ``embed_dim``.
        """
        require_width(x, self.linear1.in_features, name="x")
        hidden = ACTIVATIONS[self.activation](self.linear1(x))
        return self.linear2(self.dropout(hidden) if self.training else hidden)
