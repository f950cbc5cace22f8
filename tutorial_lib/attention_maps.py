"""Look inside: the attention weights of any model that is built of the book's blocks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from tutorial_lib.attention import MultiheadAttention
from tutorial_lib.validation import require_modules

Maps = dict[str, Float[Tensor, "batch heads query key"]]


@contextmanager
def record_attention(model: nn.Module) -> Iterator[Maps]:
    r"""Keep the attention weights of what a model does inside the ``with`` block.

    Example::

        with record_attention(model) as maps:
            logits = model(tokens)
        maps["decoder.layers.0.self_attn"]  # (batch, heads, query, key)

    Inside the block every attention takes the explicit path, which has weights to show. Nothing is
    left in the model behind the block, also where it ends in an error.

    Args:
        model: Whatever holds :class:`tutorial_lib.attention.MultiheadAttention` modules, or is one.

    Yields:
        The weights by the name of the module that computed them, in the order of the calls; those
        of the last call where a module is called again. Gradients flow through them unless they
        are switched off.

    Raises:
        TypeError: If ``model`` is not a module.

    Taught in :doc:`/notebooks/21_encoder`.
    """
    require_modules(model=model)
    maps: Maps = {}

    def ask(module: nn.Module, inputs: Any, options: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        return inputs, options | {"need_weights": True}

    with ExitStack() as hooks:
        for name, module in model.named_modules():
            if isinstance(module, MultiheadAttention):

                def keep(_: nn.Module, __: Any, output: Any, name: str = name) -> None:
                    maps.pop(name, None)  # a later call is last in the order too
                    maps[name] = output[1]

                hooks.enter_context(module.register_forward_pre_hook(ask, with_kwargs=True))
                hooks.enter_context(module.register_forward_hook(keep))
        yield maps


@torch.no_grad()
def attention_maps(
    model: nn.Module, *inputs: Any, of: str = "", **options: Any
) -> list[Float[Tensor, "batch heads query key"]]:
    """Run a model, and show who attends to whom, layer by layer.

    Args:
        model: Whatever holds :class:`tutorial_lib.attention.MultiheadAttention` modules.
        inputs: What the model is called with.
        of: Show only the modules whose name holds this, such as "encoder" or "cross_attn".
        options: What the model is called with by name.

    Returns:
        One tensor of weights a module, in the order of the calls, without gradients.

    Raises:
        TypeError: If ``model`` is not a module.
        ValueError: If no attention of such a name was called.

    Taught in :doc:`/notebooks/21_encoder`.
    """
    with record_attention(model) as maps:
        model(*inputs, **options)
    found = [weights for name, weights in maps.items() if of in name]
    if not found:
        raise ValueError(f"of must be a part of one of {list(maps)}, got {of!r}")
    return found
