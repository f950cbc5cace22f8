"""Our GPT-2 and BERT give Hugging Face's logits, maps and texts, with Hugging Face's weights."""

from __future__ import annotations

import os
from typing import Any

import pytest
import torch
from reference import TOLERANCE, draw, randomized
from torch import nn

from tutorial_lib.attention_maps import attention_maps
from tutorial_lib.generation import greedy_search
from tutorial_lib.interop import from_huggingface
from tutorial_lib.language_model import TransformerLanguageModel
from tutorial_lib.masked_language_model import MaskedLanguageModel

os.environ["HF_HUB_OFFLINE"] = "1"
transformers = pytest.importorskip("transformers")

VOCAB = 40
PLAIN: dict[str, Any] = {"attn_implementation": "eager", "vocab_size": VOCAB}
# Shapes that differ from each other in every size.
GPT2 = {
    "one layer": {"n_embd": 6, "n_head": 1, "n_layer": 1, "n_positions": 9},
    "wide": {"n_embd": 24, "n_head": 4, "n_layer": 2, "n_positions": 16, "n_inner": 40},
    "deep": {"n_embd": 8, "n_head": 2, "n_layer": 5, "n_positions": 12},
    "an epsilon of its own": {"n_embd": 8, "n_head": 2, "n_layer": 2, "layer_norm_epsilon": 0.1},
    "exact GELU": {"n_embd": 8, "n_head": 2, "n_layer": 2, "activation_function": "gelu"},
    "ReLU, untied": {
        "n_embd": 8,
        "n_head": 2,
        "n_layer": 2,
        "activation_function": "relu",
        "tie_word_embeddings": False,
    },
}
BERT = {
    "one layer": {"hidden_size": 6, "num_attention_heads": 1, "num_hidden_layers": 1},
    "wide": {"hidden_size": 24, "num_attention_heads": 4, "num_hidden_layers": 2},
    "deep": {"hidden_size": 8, "num_attention_heads": 2, "num_hidden_layers": 5},
    "three segments": {"hidden_size": 8, "num_attention_heads": 2, "type_vocab_size": 3},
    "an epsilon of its own": {"hidden_size": 8, "num_attention_heads": 2, "layer_norm_eps": 0.1},
    "tanh GELU": {"hidden_size": 8, "num_attention_heads": 2, "hidden_act": "gelu_new"},
}


def gpt2(**settings: Any) -> nn.Module:
    ends = {"bos_token_id": 0, "eos_token_id": 0}
    config = transformers.GPT2Config(**(PLAIN | ends | {"n_positions": 12} | settings))
    return randomized(transformers.GPT2LMHeadModel(config).double().eval())


def bert(**settings: Any) -> nn.Module:
    sizes = {"num_hidden_layers": 2, "intermediate_size": 20, "max_position_embeddings": 12}
    config = transformers.BertConfig(**(PLAIN | sizes | settings))
    return randomized(transformers.BertForMaskedLM(config).double().eval())


def tokens(batch: int = 3, length: int = 9, below: int = VOCAB) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(below, (batch, length), generator=generator)


def largest_difference(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    return (ours - theirs).abs().max().item()


@pytest.mark.parametrize("settings", GPT2.values(), ids=GPT2)
def test_gpt2_gives_the_same_logits_and_maps(settings, record_equality):
    theirs = gpt2(**settings)
    ours: Any = from_huggingface(theirs)
    assert type(ours) is TransformerLanguageModel
    with torch.no_grad():
        expected = theirs(tokens(), output_attentions=True)
        largest = largest_difference(ours(tokens()), expected.logits)
        maps = attention_maps(ours, tokens())
    for found, wanted in zip(maps, expected.attentions, strict=True):
        largest = max(largest, largest_difference(found, wanted))
    record_equality(module="GPT-2", mask="causal", largest=largest)


@pytest.mark.parametrize("settings", BERT.values(), ids=BERT)
@pytest.mark.parametrize("padded", [False, True], ids=["all", "padding"])
def test_bert_gives_the_same_logits_and_maps(settings, padded, record_equality):
    theirs = bert(**settings)
    ours: Any = from_huggingface(theirs)
    assert type(ours) is MaskedLanguageModel
    real = torch.ones(3, 9, dtype=torch.bool)
    if padded:
        real[1, 6:] = real[2, 2:] = False
    segments = tokens(below=settings.get("type_vocab_size", 2))
    mask = real[:, None, None]
    with torch.no_grad():
        expected = theirs(
            tokens(), attention_mask=real.long(), token_type_ids=segments, output_attentions=True
        )
        largest = largest_difference(ours(tokens(), segments, mask)[real], expected.logits[real])
    for found, wanted in zip(
        attention_maps(ours, tokens(), segments, mask), expected.attentions, strict=True
    ):
        largest = max(largest, largest_difference(found, wanted))
    record_equality(module="BERT", mask="padding" if padded else "none", largest=largest)


@pytest.mark.parametrize("make", [gpt2, bert])
def test_the_gradients_are_the_same(make):
    sizes = {gpt2: {"n_embd": 8, "n_head": 2, "n_layer": 2}, bert: BERT["deep"]}[make]
    theirs: Any = make(**sizes)
    ours: Any = from_huggingface(theirs)
    direction, given = draw(3, 9, VOCAB), tokens().clamp(min=1)  # BERT's token 0 gets no gradient
    (ours(given) * direction).sum().backward()
    (theirs(given).logits * direction).sum().backward()
    table = theirs.get_input_embeddings().weight
    torch.testing.assert_close(ours.embedding.table.weight.grad, table.grad, **TOLERANCE)


def test_gpt2_writes_the_same_text_with_our_cache():
    theirs: Any = gpt2(**GPT2["wide"])
    prompt = tokens(batch=2, length=3)
    expected = theirs.generate(
        prompt,
        attention_mask=torch.ones_like(prompt),
        do_sample=False,
        max_new_tokens=8,
        eos_token_id=None,
        pad_token_id=0,
    )
    ours: Any = from_huggingface(theirs)
    assert greedy_search(ours, prompt, max_new_tokens=8).equal(expected)


@pytest.mark.parametrize("make", [gpt2, bert])
def test_a_saved_model_is_found_by_its_folder(make, tmp_path):
    sizes = {gpt2: GPT2["one layer"], bert: BERT["one layer"]}[make]
    theirs = make(**sizes)
    theirs.save_pretrained(tmp_path)
    assert (tmp_path / "model.safetensors").is_file()
    ours: Any = from_huggingface(tmp_path)
    assert not ours.training
    logits = ours.double()(tokens())
    torch.testing.assert_close(logits, theirs(tokens()).logits, **TOLERANCE)
    named: Any = from_huggingface(str(tmp_path))
    assert named.double()(tokens()).equal(logits)


def test_a_pickle_is_never_read(tmp_path):
    theirs = gpt2(**GPT2["one layer"])
    theirs.config.save_pretrained(tmp_path)
    torch.save(theirs.state_dict(), tmp_path / "pytorch_model.bin")
    with pytest.raises(OSError, match=r"safetensors"):
        from_huggingface(tmp_path)


def test_the_twin_has_the_type_the_mode_and_weights_of_its_own():
    theirs: Any = gpt2(**GPT2["one layer"]).float().train()
    ours: Any = from_huggingface(theirs)
    assert ours.training
    assert {parameter.dtype for parameter in ours.parameters()} == {torch.float32}
    before = theirs.transformer.wte.weight.detach().clone()
    with torch.no_grad():
        ours.embedding.table.weight.add_(1)
    assert theirs.transformer.wte.weight.equal(before)
    count = sum(parameter.numel() for parameter in theirs.parameters())
    assert sum(parameter.numel() for parameter in ours.parameters()) == count


@pytest.mark.parametrize("gradients", [torch.enable_grad, torch.no_grad])
def test_what_is_frozen_and_what_evaluates_stays_so(gradients):
    theirs: Any = gpt2(**GPT2["deep"]).train()
    theirs.transformer.h[1].eval()
    theirs.transformer.h[2].attn.c_attn.requires_grad_(False)
    theirs.transformer.wte.requires_grad_(False)
    with gradients():
        ours: Any = from_huggingface(theirs)
    frozen = {name for name, weight in ours.named_parameters() if not weight.requires_grad}
    parts = {f"{name}_proj.{part}" for name in "qkv" for part in ("weight", "bias")}
    packed = {f"decoder.layers.2.self_attn.{part}" for part in parts}
    assert frozen == {"embedding.table.weight"} | packed
    quiet = {part for part in ours.modules() if not part.training}
    assert quiet == {*ours.decoder.layers[1].modules()}
    masked: Any = bert(**BERT["deep"]).train()
    masked.bert.encoder.layer[3].eval()
    masked.bert.embeddings.LayerNorm.requires_grad_(False)
    with gradients():
        twin: Any = from_huggingface(masked)
    frozen = {name for name, weight in twin.named_parameters() if not weight.requires_grad}
    assert frozen == {"norm.weight", "norm.bias"}
    quiet = {part for part in twin.modules() if not part.training}
    assert quiet == {*twin.encoder.layers[3].modules()}


def test_a_layer_of_which_one_dropout_evaluates_is_refused():
    theirs: Any = gpt2(**SMALL).train()
    theirs.transformer.h[0].mlp.eval()
    with pytest.raises(ValueError, match="must have both dropouts of a layer in one mode"):
        from_huggingface(theirs)


def test_saved_weights_without_a_head_are_refused_by_name(tmp_path):
    body = transformers.BertForSequenceClassification(bert(**BERT["deep"]).config)
    body.save_pretrained(tmp_path / "bert")
    missing = r"weights of a BertForMaskedLM, it lacks .*cls\.predictions\.transform\.dense\.weight"
    with pytest.raises(ValueError, match=missing):
        from_huggingface(tmp_path / "bert")
    untied = gpt2(**GPT2["ReLU, untied"])
    untied.transformer.save_pretrained(tmp_path / "gpt2")
    with pytest.raises(ValueError, match=r"a GPT2LMHeadModel, it lacks lm_head\.weight$"):
        from_huggingface(tmp_path / "gpt2")


def test_an_output_map_that_ours_has_not_is_refused():
    theirs: Any = gpt2(**SMALL)
    theirs.lm_head = nn.Linear(8, VOCAB)
    with pytest.raises(ValueError, match="must have an lm_head without bias"):
        from_huggingface(theirs)
    for part in ("weight", "bias"):
        masked: Any = bert(**BERT["deep"])
        decoder = masked.cls.predictions.decoder
        setattr(decoder, part, nn.Parameter(getattr(decoder, part) + 1))
        with pytest.raises(ValueError, match="must make its logits with the table of its tokens"):
            from_huggingface(masked)


SMALL = {"n_embd": 8, "n_head": 2, "n_layer": 1}


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (
            lambda: gpt2(**SMALL, scale_attn_by_inverse_layer_idx=True),
            "must have scale_attn_by_inverse_layer_idx=False, got True",
        ),
        (lambda: gpt2(**SMALL, scale_attn_weights=False), "scale_attn_weights=True, got False"),
        (lambda: gpt2(**SMALL, add_cross_attention=True), "add_cross_attention=False, got True"),
        (lambda: gpt2(**SMALL, attn_pdrop=0.3), r"resid_pdrop=0\.3 like attn_pdrop, got 0\.1"),
        (lambda: gpt2(**SMALL, activation_function="silu"), "activation must be one of"),
        (lambda: bert(**BERT["deep"], is_decoder=True), "must have is_decoder=False, got True"),
        (
            lambda: bert(**BERT["deep"], hidden_dropout_prob=0.0),
            r"attention_probs_dropout_prob=0\.0 like hidden_dropout_prob, got 0\.1",
        ),
    ],
)
def test_a_setting_that_ours_lack_is_refused(make, says):
    with pytest.raises(ValueError, match=says):
        from_huggingface(make())


@pytest.mark.usefixtures("unchecked_shapes")
def test_what_is_no_model_of_theirs_is_refused(tmp_path):
    with pytest.raises(TypeError, match=r"must be a GPT2LMHeadModel or BertForMaskedLM, .* Linear"):
        from_huggingface(nn.Linear(2, 2))
    transformers.ViTConfig().save_pretrained(tmp_path)
    with pytest.raises(TypeError, match=r"must be of type gpt2 or bert, got .* of type vit"):
        from_huggingface(tmp_path)
    with pytest.raises(OSError, match="no-such-folder"):
        from_huggingface(tmp_path / "no-such-folder")
