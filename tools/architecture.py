"""The book's pictures of the architecture: what each shows, in a drawing and in words.

A picture may have a part highlighted. The SVG, its alternative text and the name of its file are
all made here, for the site, for the notebooks and for ``book/_static/architecture``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from architecture_attention import head, multi_head
from architecture_layers import decoder_layer, encoder_layer
from architecture_shapes import Drawing
from architecture_svg import to_svg
from architecture_whole import whole
from chapters import ROOT

FOLDER = ROOT / "book" / "_static" / "architecture"
WHOLE = "transformer"


@dataclass(frozen=True)
class Part:
    """What is highlighted: how it is called, and the parts of the drawing that it is."""

    name: str
    shapes: tuple[str, ...]


@dataclass(frozen=True)
class Picture:
    """A drawing, its name, what it shows in words, and the parts that can be highlighted."""

    draw: Callable[[], Drawing]
    title: str
    description: str
    parts: dict[str, Part] = field(default_factory=dict)

    def part(self, name: str) -> Part | None:
        """Look a part up; no name is no part.

        Raises:
            ValueError: If the picture has no such part.
        """
        if name and name not in self.parts:
            raise ValueError(f"part {name!r} is unknown; the picture has {sorted(self.parts)}")
        return self.parts[name] if name else None


_SOURCE = ("source embedding", "source positions", "encoder")
_WRITER = (
    "decoder feed-forward",
    "decoder self-attention",
    "target embedding",
    "target positions",
    "output",
    "generation",
)

PARTS = {
    "head": Part("one head of an attention", ("head",)),
    "multi-head": Part("the multi-head attentions", ("attention",)),
    "masks": Part("the masks of the attentions", ("mask",)),
    "positions": Part("the positions", ("positions",)),
    "encoder": Part("the encoder", ("encoder",)),
    "decoder": Part("the decoder, and how it writes", ("decoder", "output", "generation")),
    "costs": Part("what the layers compute", ("attention", "feed-forward")),
    "training": Part("the training loop", ("training", "loss", "gradients", "step")),
    "schedule": Part("the optimizer's step and its learning rate", ("step",)),
    "stacks-in-training": Part(
        "both stacks, in the training loop", ("encoder", "decoder", "memory", "training")
    ),
    "nested": Part(
        "encoder and decoder, parts of a larger module", ("encoder", "memory", "decoder")
    ),
    "settings": Part("the settings of a run", ("settings",)),
    "encoder-alone": Part("an encoder on its own", _SOURCE),
    "set": Part("an encoder without positions", ("source embedding", "encoder")),
    "whole": Part("the whole model", ("model", "memory", "generation")),
    "decoder-alone": Part("a decoder without a source", _WRITER),
    "either-alone": Part(
        "an encoder on its own, and a decoder without a source", (*_SOURCE, *_WRITER)
    ),
    "weights": Part("the weights of the attentions", ("weights",)),
    "mistakes": Part(
        "where mistakes sit",
        ("mask", "weights", "positions", "loss", "step", "settings", "generation"),
    ),
}

PICTURES = {
    WHOLE: Picture(
        whole,
        "The Transformer and its training loop",
        "Read from the bottom up. On the left, source tokens go through an embedding, to which"
        " positions are added, into the encoder: L layers of self-attention and feed-forward. Its"
        " output, the memory, goes to the right into the cross-attention of the decoder. There the"
        " target tokens so far go through an embedding and positions into L layers of masked"
        " self-attention, cross-attention and feed-forward, then through linear and softmax. Out"
        " come the probabilities of the next token; when the model writes, that token joins the"
        " target tokens. Every attention has heads, a mask and weights. Above, the training loop:"
        " from the probabilities to the loss, the gradients and the optimizer step, which changes"
        " the model; a box beside it stands for the settings.",
        PARTS,
    ),
    "head": Picture(
        head,
        "One attention head",
        "Read from the bottom up. Query and key go into the scores, one for each pair: query times"
        " key. The scores are divided by the root of head_dim, masked (minus infinity where the"
        " mask is False), and turned into weights by a softmax over the keys. The weights, of shape"
        " (query, key), and the value, which comes up at the side, go into the average of the"
        " values. Out comes the output of shape (query, value_dim).",
        {"mask": Part("the mask", ("mask",))},
    ),
    "multi-head": Picture(
        multi_head,
        "Multi-head attention",
        "Read from the bottom up. Query, key and value, each of shape (batch, length, embed_dim),"
        " go through a linear map each. Split into heads, they have the shape (batch, heads,"
        " length, head_dim). Head 1 to head H attend side by side. Their outputs are concatenated"
        " to (batch, length, heads times head_dim), and a last linear map gives the output of"
        " shape (batch, length, embed_dim).",
    ),
    "encoder-layer": Picture(
        encoder_layer,
        "One encoder layer, in post-norm",
        "Read from the bottom up. The input, of shape (batch, length, embed_dim), goes through"
        " self-attention; a residual connection leads it past and adds it to the result; layer norm"
        " follows. What comes out goes through the feed-forward network, again with a residual"
        " connection past it, a sum and a layer norm. The output has the shape of the input.",
    ),
    "decoder-layer": Picture(
        decoder_layer,
        "One decoder layer, in pre-norm",
        "Read from the bottom up, in three branches. In each, the input goes through layer norm and"
        " the branch, while a residual connection leads past both and is added to the result. The"
        " first branch is self-attention under a causal mask, which comes from the left. The second"
        " is cross-attention: its query comes from below, its key and value from the left, from the"
        " memory. The third is the feed-forward network. Input and output have the shape (batch,"
        " length, embed_dim).",
    ),
}

# Where the parts of the picture on the landing page lead.
CHAPTERS = {
    "settings": "35_command_line_and_devices",
    "training": "31_lightning_from_the_ground",
    "loss": "31_lightning_from_the_ground",
    "gradients": "31_lightning_from_the_ground",
    "step": "32_warmup_and_schedules",
    "encoder": "21_encoder",
    "decoder": "22_decoder_and_generation",
    "positions": "14_positional_encodings",
    "embedding": "14_positional_encodings",
    "output": "22_decoder_and_generation",
    "feed-forward": "21_encoder",
    "encoder self-attention": "11_scaled_dot_product_attention",
    "decoder self-attention": "13_masks",
    "cross-attention": "22_decoder_and_generation",
    "heads": "12_multi_head_attention",
    "mask": "13_masks",
    "weights": "51_attention_maps",
}


def picture_of(name: str) -> Picture:
    """Look a picture up.

    Raises:
        ValueError: If there is no such picture.
    """
    if name not in PICTURES:
        raise ValueError(f"picture {name!r} is unknown; there are {sorted(PICTURES)}")
    return PICTURES[name]


def words_of(name: str, part: str = "") -> tuple[str, str]:
    """Give a picture's title and its description, for who cannot see it."""
    picture = picture_of(name)
    found = picture.part(part)
    if found is None:
        return picture.title, picture.description
    marked = f"Highlighted: {found.name}. {picture.description}"
    return f"{picture.title}, with {found.name} highlighted", marked


def caption_of(name: str, part: str, caption: str) -> str:
    """Put in front of a caption where the reader is."""
    found = picture_of(name).part(part)
    if found is None or name != WHOLE:
        return caption
    return f"**You are here:** {found.name}. {caption}".strip()


def svg_of(name: str, part: str = "", links: Mapping[str, str] | None = None) -> str:
    """Write a picture as SVG; the same words give the same bytes.

    Args:
        name: The picture.
        part: What is highlighted; nothing if empty.
        links: Addresses by the part of the drawing that leads there.
    """
    picture = picture_of(name)
    found = picture.part(part)
    title, description = words_of(name, part)
    return to_svg(
        picture.draw(),
        name=name,
        title=title,
        description=description,
        here=found.shapes if found else (),
        pill="here" if name == WHOLE else "",
        links=links,
    )


def file_of(name: str, part: str = "") -> Path:
    """Say where a picture's file lies."""
    return FOLDER / f"{'-'.join(filter(None, (name, part)))}.svg"


def all_pictures() -> Iterator[tuple[str, str]]:
    """List every picture, alone and with each of its parts highlighted."""
    for name, picture in PICTURES.items():
        yield from ((name, part) for part in ("", *picture.parts))
