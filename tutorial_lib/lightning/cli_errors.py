"""What is wrong with a config, in one line: where, what, and what was expected."""

from __future__ import annotations

import inspect
import re
import traceback
from argparse import ArgumentError
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from types import FrameType

import pytorch_lightning as pl
from jsonargparse import Namespace
from lightning_fabric.utilities.exceptions import MisconfigurationException
from yaml import MarkedYAMLError

FEW = 8  # names are listed up to here; of more, only the one that is meant
UNDER_WAY = {"advance", "_evaluation_step"}  # Lightning's functions that work on a batch
REFUSALS = (ValueError, TypeError, OSError, RuntimeError, MisconfigurationException)


class ConfigError(Exception):
    """A config that cannot be run; the message is one line."""


def explain_parsing(message: str, error: BaseException | None, *, accepted: Sequence[str]) -> str:
    """Explain in one line why the settings could not be read.

    Args:
        message: What the parser says.
        error: The error behind it; its causes lead from the outermost setting to the innermost.
        accepted: The settings that there are at the top.

    Returns:
        Where, what, and what was expected.
    """
    keys: list[str] = []
    owner, reason = "", message
    while error is not None:
        text = "" if isinstance(error, ArgumentError) else str(error)  # wraps one that says more
        if found := re.match(r'Parser key "(.+?)"', text):
            keys += ["init_args", found[1]] if owner else [found[1]]
        elif found := re.match(r"Problem with given class_path '(.+?)'", text):
            owner = found[1]
        elif isinstance(error, MarkedYAMLError) and error.problem_mark is not None:
            line, column = error.problem_mark.line + 1, error.problem_mark.column + 1
            reason = f"config, line {line}, column {column}: {error.problem}"
        elif text and not text.startswith("Does not validate"):
            reason = text
        elif types := _expected_types(text):
            reason = f"{types}. Got value: {text.rpartition('Given value: ')[2]}"
            break
        error = error.__cause__
    inside = [*keys, "init_args"] if owner else keys
    unknown = r"(?:.*(?:accept o|O)ption '|unrecognized arguments: --)([\w.]+)"
    if found := re.match(unknown, reason):
        return f"{'.'.join([*inside, found[1]])}: unknown, {_known(found[1], owner, accepted)}"
    if found := re.match(r"the following arguments are required: (.+)", reason):
        missing = re.sub(r"\b(fit|validate|test|predict)\.", "", found[1])
        places = ", ".join(".".join([*inside, name]) for name in missing.split(", "))
        needs = f"{owner.rpartition('.')[2]} needs it" if owner else "set it, or give a --config"
        return f"{places}: missing, {needs}"
    if found := re.match(r"(?:Expected an? )?(.+)\. Got value: (.*)", reason, re.DOTALL):
        return f"{'.'.join(keys)}: must be {_plain_type(found[1])}, got {_one_line(found[2])}"
    if found := re.match(r"Import path (\S+) does not correspond to a subclass of (\w+)", reason):
        return f"{'.'.join([*keys, 'class_path'])}: must be a {found[2]}, got {found[1]}"
    if owner:
        return f"{'.'.join([*keys, 'class_path'])}: cannot import {owner}: {_one_line(reason)}"
    return ": ".join([*keys, _one_line(reason)])


def explain_refusal(error: BaseException, settings: Namespace) -> str | None:
    """Explain in one line why the settings, though readable, cannot be run.

    Args:
        error: What was raised.
        settings: What was set.

    Returns:
        Where, what, and what was expected; None if the error tells of the program and not of the
        settings: then it needs its traceback.
    """
    while error.__cause__ is not None:
        error = error.__cause__
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    ours = isinstance(error, (ValueError, TypeError)) and _module(frames[-1]) == "tutorial_lib"
    at_work = any(
        frame.f_code.co_name in UNDER_WAY and _module(frame) == "pytorch_lightning"
        for frame in frames
    )
    if not ours and (at_work or not isinstance(error, REFUSALS)):
        return None
    message = _one_line(str(error))
    return f"{_place(frames, settings, message)}{message}"


def _place(frames: Sequence[FrameType], settings: Namespace, message: str) -> str:
    """Name the setting that a message is about, by the objects at work when it was raised."""
    checkpoint = settings.get("ckpt_path")
    if checkpoint is not None and str(checkpoint) in message:
        return "ckpt_path: "
    nodes = {
        value: key.removesuffix(".class_path") + ".init_args"
        for key, value in settings.items()
        if key.endswith(".class_path")
    }
    place = ""
    for frame in frames:
        kind = type(frame.f_locals.get("self"))
        if issubclass(kind, pl.Trainer):
            place = place or "trainer"
        place = nodes.get(f"{kind.__module__}.{kind.__qualname__}", place)
    if not place:
        return ""
    for word in re.findall(r"\w+", message):
        if f"{place}.{word}" in settings:
            return f"{place}.{word}: "
    return f"{place.removesuffix('.init_args')}: "


def _known(name: str, owner: str, accepted: Sequence[str]) -> str:
    """Say which settings there are: all if they are few, else the one that is meant."""
    group, _, name = name.rpartition(".")
    if group == "trainer":
        accepted = list(inspect.signature(pl.Trainer).parameters)
    elif owner:
        module, _, kind = owner.rpartition(".")
        accepted = list(inspect.signature(getattr(import_module(module), kind)).parameters)
    if len(accepted) <= FEW:
        return f"must be one of {', '.join(accepted)}"
    close = get_close_matches(name, accepted, n=1)
    return f"did you mean {close[0]}?" if close else "see --help"


def _expected_types(text: str) -> str:
    """Join what a union of types expected, if it expected nothing but types."""
    errors = re.findall(r"^  - (.+)$", text, re.MULTILINE)
    if not all(error.startswith("Expected a") for error in errors):
        return ""
    return " or ".join(_plain_type(re.sub(r"Expected an? ", "", error)) for error in errors)


def _plain_type(text: str) -> str:
    text = re.sub(r"<class '(?:\w+\.)*(\w+)'>", r"\1", text).replace("NoneType", "null")
    return re.sub(r"typing\.Literal\[(.+?)\]", r"\1", text)


def _module(frame: FrameType) -> str:
    return frame.f_globals.get("__name__", "").partition(".")[0]


def _one_line(text: str) -> str:
    return " ".join(text.split())
