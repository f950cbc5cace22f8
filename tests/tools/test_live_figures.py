"""The live figures compute what the package computes, and stand in the page without a script."""

from __future__ import annotations

import json
import re
import subprocess
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from live_figures import NODE, drawn

from tutorial_lib.attention import scaled_dot_product_attention
from tutorial_lib.attention_maps import attention_maps
from tutorial_lib.language_model import Positions, TransformerLanguageModel
from tutorial_lib.live.figure import FIGURES, SCRIPTS
from tutorial_lib.live.weights import pack
from tutorial_lib.masks import causal_mask
from tutorial_lib.positions import sinusoidal_encoding
from tutorial_lib.schedules import cosine_with_warmup, inverse_sqrt_with_warmup
from tutorial_lib.tagger import TaggerNetwork


def evaluate(expression: str, *values: Any) -> Any:
    """Evaluate an expression of the figures' arithmetic in Node."""
    scripts = [str(SCRIPTS / f"{name}.js") for name in ("numbers", "network")]
    load = "".join(f"require({json.dumps(script)});" for script in scripts)
    read = "JSON.parse(require('node:fs').readFileSync(0, 'utf-8'))"
    code = f"{load} const v = {read}; console.log(JSON.stringify({expression}))"
    done = subprocess.run(
        [str(NODE), "-e", code],
        input=json.dumps(values),
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def as_floats(rows: Any) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float64)


@given(
    queries=st.integers(1, 5),
    keys=st.integers(1, 5),
    width=st.integers(1, 6),
    share=st.floats(0, 1),
    seed=st.integers(0, 1000),
)
@settings(max_examples=15, deadline=None)
def test_attention_is_that_of_the_package(
    queries: int, keys: int, width: int, share: float, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    sizes = (queries, width), (keys, width), (keys, 3)
    q, k, v = (3 * torch.randn(s, generator=generator, dtype=torch.float64) for s in sizes)
    mask = torch.rand(queries, keys, generator=generator) < share  # rows without a key too
    output, weights = scaled_dot_product_attention(q, k, v, mask)
    got = evaluate(
        "Live.attend(v[0], v[1], v[2], {mask: v[3]})", *(x.tolist() for x in (q, k, v, mask))
    )
    torch.testing.assert_close(torch.tensor(got["weights"], dtype=torch.float64), weights)
    torch.testing.assert_close(torch.tensor(got["output"], dtype=torch.float64), output)


def test_the_causal_mask_is_that_of_the_package() -> None:
    assert evaluate("Live.causalMask(v[0])", 4) == causal_mask(4).tolist()


@pytest.mark.parametrize("width", [1, 2, 7, 16])
def test_codes_of_positions_are_those_of_the_package(width: int) -> None:
    got = evaluate("[0, 1, 5, 63].map((p) => Live.positionCode(p, v[0], 10000))", width)
    expected = sinusoidal_encoding(64, width)[[0, 1, 5, 63]]
    torch.testing.assert_close(torch.tensor(got), expected)


@pytest.mark.parametrize(("warmup", "total"), [(0, 10), (3, 10), (100, 1000)])
def test_schedules_are_those_of_the_package(warmup: int, total: int) -> None:
    steps = [0, 1, 2, 3, 9, 10, 11, 100, 101, 999, 1000, 2000]
    got = evaluate(
        "['half a cosine', 'inverse root']"
        ".map((name) => v[0].map((step) => Live.schedules[name](step, v[1], v[2])))",
        steps,
        warmup,
        total,
    )
    cosine = [cosine_with_warmup(s, warmup_steps=warmup, total_steps=total) for s in steps]
    root = [inverse_sqrt_with_warmup(step, warmup_steps=warmup) for step in steps]
    assert got[0] == pytest.approx(cosine, abs=1e-12)
    assert got[1] == pytest.approx(root, abs=1e-12)


@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("positions", [False, True])
def test_a_tagger_answers_as_in_pytorch(norm_first: bool, positions: bool) -> None:
    torch.manual_seed(0)
    sizes = {"input_dim": 5, "num_classes": 4, "embed_dim": 8, "num_heads": 2, "num_layers": 2}
    network = TaggerNetwork(norm_first=norm_first, positions=positions, **sizes).eval()
    x = torch.randn(1, 6, 5)
    settings = {"heads": 2, "normFirst": norm_first, "positions": positions}
    got = evaluate(
        "Live.tagger(Live.unpack(v[0]), v[1], v[2])",
        pack(network, "float32"),
        x[0].tolist(),
        settings,
    )
    torch.testing.assert_close(as_floats(got["logits"]), network(x)[0].double(), atol=1e-5, rtol=0)
    maps = torch.stack([one[0] for one in attention_maps(network, x)])
    torch.testing.assert_close(as_floats(got["maps"]), maps.double(), atol=1e-5, rtol=0)


@pytest.mark.parametrize("positions", ["learned", "sinusoidal", "rotary"])
@pytest.mark.parametrize("tied", [False, True])
def test_a_language_model_answers_as_in_pytorch(positions: Positions, tied: bool) -> None:
    torch.manual_seed(1)
    network = TransformerLanguageModel(
        vocab_size=11, embed_dim=16, num_heads=2, num_layers=2, positions=positions,
        max_len=12, tie_weights=tied,
    ).eval()  # fmt: skip
    tokens = torch.randint(11, (1, 9))
    settings = {"heads": 2, "positions": positions}
    weights = pack(network, "float32")
    got = evaluate(
        "Live.languageModel(Live.unpack(v[0]), v[1], v[2])", weights, tokens[0].tolist(), settings
    )
    torch.testing.assert_close(
        as_floats(got["logits"]), network(tokens)[0].double(), atol=1e-5, rtol=0
    )
    maps = torch.stack([one[0] for one in attention_maps(network, tokens)])
    torch.testing.assert_close(as_floats(got["maps"]), maps.double(), atol=1e-5, rtol=0)


def test_sixteen_bits_come_back_as_they_were_written() -> None:
    values = [0.0, 1.0, -2.5, 65504.0, 6.1e-5, -5.96e-8, 1 / 3]
    layer = torch.nn.Linear(len(values), 1, bias=False)
    with torch.no_grad():
        layer.weight[0] = torch.tensor(values)
    got = evaluate("Live.unpack(v[0])", pack(layer))
    assert got["weight"] == [torch.tensor(values).half().tolist()]


def test_the_figure_of_the_reverser_reads_the_network_that_it_is_given() -> None:
    network = TaggerNetwork(input_dim=10, num_classes=10, embed_dim=8, num_heads=1)
    data = {"weights": pack(network), "heads": 1, "classes": 10, "digits": "3141592"}
    markup = drawn("reverse", json.dumps(data))
    assert len(re.findall('class="box', markup)) == 14
    assert markup.count('class="box chosen"') == 1


def test_the_figure_of_the_gpt_cuts_and_continues_the_text_that_it_is_given() -> None:
    pieces = ["a", "b", "ab", " ", "\n"]
    network = TransformerLanguageModel(vocab_size=5, embed_dim=8, num_heads=2, num_layers=1)
    data = {
        "weights": pack(network), "heads": 2, "positions": "learned", "pieces": pieces,
        "beginning": "abz a",
    }  # fmt: skip
    assert drawn("gpt", json.dumps(data)).count('<text class="mono"') == 3  # "ab", " ", "a": no z


@pytest.mark.parametrize("figure", ["attention", "mask", "positions", "schedule"])
def test_a_figure_is_a_picture_before_a_script_runs(figure: str) -> None:
    assert drawn(figure).count("<svg") >= 1
    assert "data-kind" not in drawn(figure)


def test_every_figure_is_tried_here() -> None:
    assert FIGURES == ["attention", "gpt", "mask", "positions", "reverse", "schedule"]
