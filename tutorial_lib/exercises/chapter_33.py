"""Checks for chapter 33, torch.nn.Transformer in Lightning."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from tutorial_lib.exercises.checker import Checker, is_close, require_shape

check = Checker(33)

PAD, VOCAB = 0, 11
Network = Callable[[Tensor, Tensor], Tensor]

ROWS: list[tuple[list[int | None], bool, str]] = [  # None is a padding
    ([5, 6, 7, 8], True, "a row without padding"),
    ([5, 6, None, None], True, "a row with padding at its end"),
    ([5, None, None, None], True, "a row with one real token"),
    ([5, None, 7, None], False, "a row with a padding between real tokens"),
    ([5, None, None, 7], False, "a row that ends with a real token behind padding"),
    ([None, 6, 7, 8], False, "a row that starts with padding"),
    ([None, None, None, None], False, "a row of padding only"),
]
LEAKS_MISSED = {
    "a causal network": ": a position may see its own token and those before it, so compare only "
    "what stands before the token that you change",
    "a network whose position 2 sees token 3": ": it is not enough to change the last token",
    "a network whose position 4 sees token 5": ": it is not enough to cut at one place",
    "a network that leaks in its third example": ": compare all examples, not only the first",
}


@check.exercise(
    1, hint="True blocks; the encoder and the cross-attention each need the source's padding."
)
def masks_are_those_of_torch(masks_for: Callable) -> None:
    """Try two numbers as the padding."""
    for pad_token in (PAD, 10):
        src = torch.tensor([[5, 6, 0, 0], [7, 3, 4, 8], [9, 0, 0, 0]])
        tgt = torch.tensor([[1, 5, 6, 2, 0], [1, 3, 4, 7, 8], [1, 9, 2, 0, 0]])
        src, tgt = (tokens.masked_fill(tokens == PAD, pad_token) for tokens in (src, tgt))
        masks = masks_for(src.clone(), tgt.clone(), pad_token)
        _require_no_known_mistake(masks, src, tgt, pad_token)
        _require_right_masks(masks, src == pad_token, tgt == pad_token)


@check.exercise(2, hint="Where is a padding followed by a real token, and where is the first real?")
def padding_is_judged(well_padded: Callable) -> None:
    """Try rows that are padded well, and rows that are wrong in one way each."""
    for pad_token in (0, 3):
        for row, right, name in ROWS:
            filled = [pad_token if token is None else token for token in row]
            tokens = torch.tensor([filled, [9, 9, 9, 9]])
            got = well_padded(tokens, pad_token)
            require_shape(got, (2,), "the result")
            assert got.dtype == torch.bool, f"the result must be boolean, got {got.dtype}"
            assert got[1] or not _judges(well_padded, [None] * 4), (
                "the answer is inverted: a good row must be True"
            )
            assert got[1], "a good row must be True whatever the other rows are"
            of_zero = pad_token != 0 and got.equal(well_padded(tokens, 0))
            assert got[0].item() == right, (
                f"for {name}, {filled} with pad_token={pad_token}, the answer must be {right}"
                + (": 0 is taken for the padding, whatever pad_token is" if of_zero else "")
            )


def _judges(well_padded: Callable, row: list[int | None]) -> bool:
    tokens = torch.tensor([[0 if token is None else token for token in row]])
    return bool(well_padded(tokens, 0)[0])


@check.exercise(3, hint="Change one target token at a time; what stands before it must not move.")
def leaks_are_found(sees_the_future: Callable) -> None:
    """Try networks that leak in different places, and networks that do not leak."""
    generator = torch.Generator().manual_seed(33)
    src = torch.randint(3, VOCAB, (3, 4), generator=generator)
    tgt = torch.randint(3, VOCAB, (3, 6), generator=generator)
    for network, leaks, name in _networks_that_leak_or_not():
        got = sees_the_future(network, src.clone(), tgt.clone())
        why = ", a tensor: put bool() around it" if isinstance(got, Tensor) else ""
        assert isinstance(got, bool), f"the answer must be True or False, got {got!r}{why}"
        why = LEAKS_MISSED.get(name, "")
        assert got == leaks, f"for {name} the answer must be {leaks}, got {got}{why}"


def _require_no_known_mistake(masks: object, src: Tensor, tgt: Tensor, pad_token: int) -> None:
    """Name a mask that is of another kind, upside down, or another one's."""
    assert isinstance(masks, dict), f"a dictionary is needed, got {masks!r}"
    for name, mask in masks.items():
        is_boolean = isinstance(mask, Tensor) and mask.dtype == torch.bool
        assert is_boolean, f"{name} must be a boolean tensor, got {_kind_of(mask)}"
    padding, later = src == pad_token, torch.ones(5, 5, dtype=torch.bool).triu(1)
    mistakes = [
        ("tgt_mask", ~later, "is inverted: True blocks"),
        ("tgt_mask", later.mT, "is transposed: rows are queries, columns are keys"),
        ("tgt_mask", ~later.mT, "blocks the diagonal: a position may attend to itself"),
        ("memory_key_padding_mask", tgt == pad_token, "is the target's: the memory is the source"),
        ("src_mask", padding, "takes (query, key) for all examples; padding has an argument"),
    ]
    for name in ("src_key_padding_mask", "memory_key_padding_mask"):
        mistakes.append((name, ~padding, "is inverted: True blocks"))
        if pad_token != PAD:
            mistakes.append((name, src == PAD, "takes 0 for the padding, whatever pad_token is"))
    for name, wrong, why in mistakes:
        mask = masks.get(name)
        assert mask is None or not mask.equal(wrong), f"{name} {why}"


def _require_right_masks(masks: dict[str, Tensor], padding: Tensor, target_padding: Tensor) -> None:
    """Change what must not be seen, then compare with the masks that are right."""
    transformer, x, y = _torch_transformer(), _vectors(3, 4), _vectors(3, 5)
    out = transformer(x, y, **masks)
    other = torch.cat([y[:, :2], 1 - y[:, 2:].flip(-1)], dim=1)
    later = transformer(x, other, **masks)
    assert is_close(later[:, :2], out[:, :2]), "a target position sees a later one"
    filled = torch.where(padding[..., None], x.flip(-1), x)
    memory = {name: mask for name, mask in masks.items() if name.startswith("memory")}
    before, after = (transformer.decoder(y, source, **memory) for source in (x, filled))
    assert is_close(before, after), "the cross-attention reads the source's padding"
    moved = transformer(filled, y, **masks)
    assert is_close(moved, out), "the encoder reads the source's padding"
    right = {
        "tgt_mask": torch.ones(5, 5, dtype=torch.bool).triu(1),
        "src_key_padding_mask": padding,
        "memory_key_padding_mask": padding,
    }
    real, expected = ~target_padding, transformer(x, y, **right)
    assert is_close(out[real], expected[real]), "something is blocked that may be seen"


def _kind_of(mask: object) -> str:
    return str(mask.dtype) if isinstance(mask, Tensor) else type(mask).__name__


def _vectors(batch: int, length: int) -> Tensor:
    generator = torch.Generator().manual_seed(10 * batch + length)
    return torch.randn(batch, length, 8, dtype=torch.float64, generator=generator)


def _torch_transformer() -> nn.Transformer:
    with torch.random.fork_rng():
        torch.manual_seed(33)
        # In training mode, where PyTorch has one path only.
        return nn.Transformer(8, 2, 1, 1, 16, dropout=0.0, batch_first=True, dtype=torch.float64)


def _networks_that_leak_or_not() -> list[tuple[Network, bool, str]]:
    generator = torch.Generator().manual_seed(33)
    table = torch.rand(VOCAB, VOCAB, dtype=torch.float64, generator=generator)

    def from_weights(weights: Tensor, rows: slice = slice(None)) -> Network:
        """Add to the causal sum of the target what ``weights`` (query, key) says, in ``rows``."""

        def network(src: Tensor, tgt: Tensor) -> Tensor:
            x = table[tgt]
            logits = x.cumsum(dim=1) + table[src].sum(dim=1, keepdim=True)
            extra = torch.zeros_like(logits)
            extra[rows] = (weights @ x)[rows]
            return logits + extra

        return network

    def one(query: int, key: int) -> Tensor:
        weights = torch.zeros(6, 6, dtype=torch.float64)
        weights[query, key] = 1.0
        return weights

    everything = torch.ones(6, 6, dtype=torch.float64)
    nothing = torch.zeros(6, 6, dtype=torch.float64)
    return [
        (from_weights(nothing), False, "a causal network"),
        (from_weights(one(4, 1)), False, "a network that looks back twice"),
        (from_weights(everything), True, "a network without a causal mask"),
        (from_weights(everything.tril(1)), True, "a mask that is one position too wide"),
        (from_weights(one(0, 5)), True, "a network whose first position sees the last token"),
        (from_weights(one(2, 3)), True, "a network whose position 2 sees token 3"),
        (from_weights(one(4, 5)), True, "a network whose position 4 sees token 5"),
        (from_weights(one(0, 1)), True, "a network whose position 0 sees token 1"),
        (from_weights(one(1, 3), slice(2, 3)), True, "a network that leaks in its third example"),
    ]
