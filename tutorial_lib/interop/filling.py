"""What makes every twin: another's model is found, looked at, and its weights go into ours."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from torch import Tensor, nn

Twin = TypeVar("Twin", bound=nn.Module)
State = dict[str, Tensor]
Parts = Mapping[str, nn.Module]  # by the names of ours, those of the other model


def filled(twin: Twin, state: State, *, like: nn.Module, parts: Parts | None = None) -> Twin:
    """Copy weights into a twin.

    Args:
        twin: Our module.
        state: A tensor for each of its weights, which is trained where that one is.
        like: Sets the float type, the device and the training mode.
        parts: What sets the mode of a part of the twin, the whole before its parts.

    Returns:
        The twin.

    Raises:
        RuntimeError: If a weight is missing, not wanted, or of another shape.
    """
    weight = next(like.parameters())
    twin.to(device=weight.device, dtype=weight.dtype).load_state_dict(state)
    for name, parameter in twin.named_parameters():
        parameter.requires_grad_(state[name].requires_grad)
    twin.train(like.training)
    for name, part in (parts or {}).items():
        twin.get_submodule(name).train(part.training)
    return twin


def renamed(theirs: State, name: str, ours: str) -> State:
    """Hand on the weight of a part, and its bias where it has one.

    Args:
        theirs: The state of the other model.
        name: The part's name there.
        ours: Its name in the twin.

    Returns:
        A part of the twin's state.
    """
    parts = ("weight", "bias")
    return {f"{ours}.{p}": theirs[f"{name}.{p}"] for p in parts if f"{name}.{p}" in theirs}


def hugging_face_model(model: nn.Module | str | Path, kinds: Mapping[str, str]) -> Any:
    """Find a model of Hugging Face, and require that it is of a kind with a twin.

    Args:
        model: The model, its name on the hub, or the folder where it is saved.
        kinds: For each ``model_type`` with a twin, the name of the class.

    Returns:
        The model.

    Raises:
        TypeError: If it is of another kind.
        ValueError: If what is saved lacks a weight.
        OSError: If there is no such name, or no weights in safetensors.
    """
    if isinstance(model, (str, Path)):
        import transformers  # only by name

        kind = transformers.AutoConfig.from_pretrained(model).model_type
        if kind not in kinds:
            known = " or ".join(kinds)
            raise TypeError(f"model must be of type {known}, got {str(model)!r} of type {kind}")
        model, found = getattr(transformers, kinds[kind]).from_pretrained(
            model, use_safetensors=True, output_loading_info=True
        )
        if found["missing_keys"]:
            raise ValueError(
                f"model must have all weights of a {kinds[kind]}, "
                f"it lacks {', '.join(sorted(found['missing_keys']))}"
            )
    if type(model).__name__ not in kinds.values():
        raise TypeError(
            f"model must be a {' or '.join(kinds.values())}, or where to find one, "
            f"got {type(model).__name__}"
        )
    return model


def require_settings(config: Any, wanted: Mapping[str, object]) -> None:
    """Raise unless a model's settings are those of its twin.

    Args:
        config: The model's settings; one that it does not have is as wanted.
        wanted: What they must be, by name.

    Raises:
        ValueError: If one is something else.
    """
    for name, value in wanted.items():
        got = getattr(config, name, value)
        if got != value:
            raise ValueError(f"model must have {name}={value}, got {got}")


def require_same(config: Any, first: str, *others: str) -> None:
    """Raise unless some of a model's settings are the same, because the twin has but one.

    Args:
        config: The model's settings.
        first: The name of one.
        others: The names of the others.

    Raises:
        ValueError: If one differs from the first.
    """
    for name in others:
        if getattr(config, name) != getattr(config, first):
            raise ValueError(
                f"model must have {name}={getattr(config, first)} like {first}, "
                f"got {getattr(config, name)}"
            )
