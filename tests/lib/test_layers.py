"""A layer equals PyTorch's in both norm orders: values, gradients, training and evaluation."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from reference import SELF_MASKS, TOLERANCE, assert_all_close, gradients, mask_case, randomized
from torch import nn

from tutorial_lib.interop import from_torch
from tutorial_lib.layers import FeedForward, TransformerEncoderLayer

SIZES: dict[str, Any] = {"embed_dim": 8, "num_heads": 2, "dim_feedforward": 12}


def draw(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def torch_layer(**settings) -> nn.TransformerEncoderLayer:
    # An epsilon of its own shows a norm that was built with another.
    settings = {"dropout": 0.0, "batch_first": True, "layer_norm_eps": 1e-2} | settings
    return randomized(nn.TransformerEncoderLayer(8, 2, 12, **settings).double())


def results(module, x, *args, **kwargs):
    """Collect the output and the gradients of a module."""
    x = x.clone().requires_grad_()
    output = module(x, *args, **kwargs)
    module.zero_grad()
    output.backward(draw(*output.shape, seed=4))
    return {"output": output.detach(), "dx": x.grad} | gradients(module)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
@pytest.mark.parametrize("norm_first", [True, False])
def test_the_layer_equals_torch(norm_first, activation, bias, record_property):
    theirs = torch_layer(norm_first=norm_first, activation=activation, bias=bias)
    x = draw(3, 5, 8)
    largest = assert_all_close(results(from_torch(theirs), x), results(theirs, x))
    theirs.eval()
    with torch.no_grad():  # here PyTorch takes a path of its own
        largest = max(
            largest, assert_all_close({"eval": from_torch(theirs)(x)}, {"eval": theirs(x)})
        )
    record_property("largest_difference", largest)


@pytest.mark.parametrize("norm_first", [True, False])
@pytest.mark.parametrize("kind", SELF_MASKS)
def test_the_masked_layer_equals_torch(kind, norm_first, record_property):
    theirs = torch_layer(norm_first=norm_first)
    mask = mask_case(kind, batch=3, heads=2, query=5, key=5)
    torch_masks = {"src_mask": mask.attn_mask, "src_key_padding_mask": mask.key_padding_mask}
    x = draw(3, 5, 8)
    largest = assert_all_close(
        results(from_torch(theirs), x, mask.ours), results(theirs, x, **torch_masks)
    )
    record_property("largest_difference", largest)


@pytest.mark.parametrize("norm_first", [True, False])
def test_with_attention_map_gives_the_same_output_and_the_maps_of_its_attention(norm_first):
    layer = from_torch(torch_layer(norm_first=norm_first))
    x, mask = draw(3, 5, 8), mask_case("3-D", batch=3, heads=2, query=5, key=5).ours
    output, weights = layer.with_attention_map(x, mask)
    torch.testing.assert_close(output, layer(x, mask), **TOLERANCE)
    attended = layer.norm1(x) if norm_first else x
    expected = layer.self_attn(attended, attn_mask=mask, need_weights=True)[1]
    torch.testing.assert_close(weights, expected, **TOLERANCE)


@pytest.mark.parametrize("norm_first", [True, False])
def test_the_layer_is_the_formula(norm_first):
    layer = randomized(TransformerEncoderLayer(norm_first=norm_first, **SIZES).double())
    x = draw(2, 3, 8)
    if norm_first:
        h = x + layer.self_attn(layer.norm1(x))[0]
        expected = h + layer.feed_forward(layer.norm2(h))
    else:
        h = layer.norm1(x + layer.self_attn(x)[0])
        expected = layer.norm2(h + layer.feed_forward(h))
    torch.testing.assert_close(layer(x), expected, **TOLERANCE)


def test_the_norms_are_those_of_torch_unless_told_otherwise():
    layer, theirs = TransformerEncoderLayer(**SIZES), nn.TransformerEncoderLayer(8, 2)
    assert layer.norm1.eps == layer.norm2.eps == theirs.norm1.eps
    other = TransformerEncoderLayer(layer_norm_eps=0.25, **SIZES)
    assert other.norm1.eps == other.norm2.eps == 0.25


def test_without_bias_there_is_no_bias():
    layer = TransformerEncoderLayer(bias=False, **SIZES)
    assert not [name for name, _ in layer.named_parameters() if name.endswith("bias")]


# ---- feed-forward -------------------------------------------------------------------------------


def test_the_feed_forward_is_worked_by_hand():
    module = FeedForward(embed_dim=1, dim_feedforward=2)
    state = {
        "linear1.weight": [[2.0], [-3.0]],
        "linear1.bias": [1.0, 1.0],
        "linear2.weight": [[5.0, 7.0]],
        "linear2.bias": [0.5],
    }
    module.load_state_dict({name: torch.tensor(values) for name, values in state.items()})
    # 1 -> (3, -2) -> (3, 0) -> 15.5 and -1 -> (-1, 4) -> (0, 4) -> 28.5
    output = module(torch.tensor([[[1.0], [-1.0]]]))
    assert output.flatten().tolist() == [15.5, 28.5]


@given(batch=st.integers(1, 3), length=st.integers(1, 5), seed=st.integers(0, 1000))
def test_the_feed_forward_sees_every_position_on_its_own(batch, length, seed):
    module = FeedForward(embed_dim=4, dim_feedforward=6, activation="gelu").double()
    x = draw(batch, length, 4, seed=seed)
    together = module(x)
    for position in range(length):
        alone = module(x[:, position : position + 1])
        torch.testing.assert_close(together[:, position : position + 1], alone, **TOLERANCE)


# ---- dropout ------------------------------------------------------------------------------------


class Spy(nn.Module):
    """Take the place of a dropout, and note what it is asked to drop."""

    def __init__(self, sites: list[str], name: str) -> None:
        super().__init__()
        self.sites, self.name = sites, name

    def forward(self, x):
        self.sites.append(self.name)
        return x


def test_dropout_acts_inside_the_feed_forward_and_on_both_branches():
    layer, sites = TransformerEncoderLayer(dropout=0.5, **SIZES), []
    assert layer.self_attn.dropout == layer.feed_forward.dropout.p == layer.dropout.p == 0.5
    layer.dropout, layer.feed_forward.dropout = Spy(sites, "branch"), Spy(sites, "inside")
    layer(torch.randn(2, 3, 8))
    assert sites == ["branch", "inside", "branch"]


@pytest.mark.parametrize("norm_first", [True, False])
def test_dropout_changes_training_and_not_evaluation(norm_first):
    layer = TransformerEncoderLayer(dropout=0.5, norm_first=norm_first, **SIZES).double()
    quiet = TransformerEncoderLayer(norm_first=norm_first, **SIZES).double()
    quiet.load_state_dict(layer.state_dict())
    x = draw(2, 5, 8)
    assert not torch.allclose(layer(x), quiet(x))
    torch.testing.assert_close(layer.eval()(x), quiet(x), **TOLERANCE)


# ---- wrong input --------------------------------------------------------------------------------

WRONG_SIZES = [
    (0, ValueError, "must be at least 1, got 0"),
    (8.0, TypeError, "must be an integer, got float"),
    (True, TypeError, "must be an integer, got bool"),
]


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize(("size", "error", "says"), WRONG_SIZES)
def test_wrong_sizes_are_refused(name, size, error, says):
    with pytest.raises(error, match=f"{name} {says}"):
        TransformerEncoderLayer(**(SIZES | {name: size}))
    if name != "num_heads":
        with pytest.raises(error, match=f"{name} {says}"):
            FeedForward(**({"embed_dim": 8, "dim_feedforward": 12} | {name: size}))


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"num_heads": 3}, "num_heads must divide embed_dim=8, got 3"),
        ({"dropout": 1.0}, r"dropout must be at least 0 and below 1, got 1\.0"),
        ({"dropout": -0.5}, r"dropout must be at least 0 and below 1, got -0\.5"),
        ({"activation": "tanh"}, r"activation must be one of \['gelu', 'relu'\], got 'tanh'"),
    ],
)
def test_wrong_settings_are_refused(wrong, says):
    with pytest.raises(ValueError, match=says):
        TransformerEncoderLayer(**(SIZES | wrong))
    if "num_heads" not in wrong:
        with pytest.raises(ValueError, match=says):
            FeedForward(embed_dim=8, dim_feedforward=12, **wrong)


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize("norm_first", [True, False])
@pytest.mark.parametrize("shape", [(5, 8), (2, 5, 7), (1, 2, 5, 8)])
def test_tokens_of_the_wrong_shape_are_refused(shape, norm_first):
    layer = TransformerEncoderLayer(norm_first=norm_first, **SIZES)
    for call in (layer, layer.with_attention_map, layer.feed_forward):
        with pytest.raises(ValueError, match=r"x must have shape \(batch, length, 8\), got"):
            call(torch.zeros(shape))


@pytest.mark.usefixtures("unchecked_shapes")
def test_a_mask_that_does_not_fit_is_refused():
    layer, x = TransformerEncoderLayer(**SIZES), torch.zeros(2, 5, 8)
    for call in (layer, layer.with_attention_map):
        with pytest.raises(TypeError, match=r"attn_mask must be boolean.*torch\.float32"):
            call(x, torch.zeros(5, 5))
        with pytest.raises(ValueError, match=r"attn_mask must broadcast.*got \(4, 5\)"):
            call(x, torch.ones(4, 5).bool())


@pytest.mark.usefixtures("unchecked_shapes")
def test_an_activation_that_is_not_a_name_is_refused():
    with pytest.raises(ValueError, match=r"activation must be one of \['gelu', 'relu'\], got \["):
        TransformerEncoderLayer(activation=["relu"], **SIZES)


@pytest.mark.parametrize("eps", [0.0, -1e-5])
def test_an_epsilon_that_is_not_above_zero_is_refused(eps):
    with pytest.raises(ValueError, match=f"layer_norm_eps must be above 0 and finite, got {eps}"):
        TransformerEncoderLayer(layer_norm_eps=eps, **SIZES)
