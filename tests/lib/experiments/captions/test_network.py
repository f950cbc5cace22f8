"""The captioner is its parts, keeps examples and future apart, and says which part does not fit."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from tutorial_lib.attention_maps import attention_maps
from tutorial_lib.beam_search import beam_search
from tutorial_lib.decoder import TransformerDecoder
from tutorial_lib.experiments.captions.image_encoders import (
    ConvEncoder,
    GridPositions,
    PatchEncoder,
)
from tutorial_lib.experiments.captions.network import Captioner
from tutorial_lib.experiments.captions.text_decoder import TextDecoder
from tutorial_lib.experiments.images.patches import image_to_patches
from tutorial_lib.generation import greedy_search

ENCODERS = {"conv": ConvEncoder, "patch": PatchEncoder}
each_encoder = pytest.mark.parametrize("kind", ENCODERS)


def make_layers(**settings):
    sizes = {"num_layers": 2, "embed_dim": 16, "num_heads": 2, "dim_feedforward": 32}
    return TransformerDecoder(**(sizes | {"norm_first": True} | settings))


def make_captioner(kind="patch", **settings):
    torch.manual_seed(0)
    decoder = TextDecoder(make_layers(), vocab_size=18, max_len=11)
    return Captioner(ENCODERS[kind](embed_dim=16, **settings), decoder).double().eval()


def make_batch(size=3, length=7):
    torch.manual_seed(1)
    return torch.rand(size, 3, 18, 18).double(), torch.randint(3, 18, (size, length))


@each_encoder
def test_the_captioner_is_its_decoder_after_its_encoder(kind):
    captioner, (images, tokens) = make_captioner(kind), make_batch()
    decoder, memory = captioner.decoder, captioner.encoder(images)
    assert memory.shape == (3, 9, 16)
    x = decoder.embedding(tokens) + decoder.positions.weight[:7]
    x = decoder.layers(x, memory, is_causal=True)
    torch.testing.assert_close(captioner(images, tokens), x @ decoder.embedding.table.weight.T)


def test_the_patch_encoder_is_what_its_formula_says():
    encoder, (images, _) = make_captioner().encoder, make_batch()
    embed = encoder.patches.projection
    patches = image_to_patches((images - 0.3) / 0.2, 6)
    x = encoder.norm(patches @ embed.weight.T + embed.bias)
    x = x.view(3, 3, 3, 16) + encoder.positions.rows + encoder.positions.columns
    torch.testing.assert_close(encoder(images), encoder.encoder(x.view(3, 9, 16)))


def test_a_place_of_the_convolutions_sees_the_pixels_around_it_and_no_others():
    encoder, (images, _) = make_captioner("conv").encoder, make_batch(1)
    changed = images.clone()
    changed[..., :3, :3] = 1 - changed[..., :3, :3]  # the top left of the first place
    moved = (encoder(changed) - encoder(images)).abs().amax(dim=-1)[0] > 1e-9
    assert moved.tolist() == [True] + [False] * 8


@each_encoder
def test_no_example_and_no_later_word_changes_an_earlier_output(kind):
    captioner, (images, tokens) = make_captioner(kind), make_batch()
    before = captioner(images, tokens)
    other = torch.cat([images[:1], images[1:].flip(-1)])
    torch.testing.assert_close(captioner(other, tokens)[0], before[0])
    assert not torch.allclose(captioner(other, tokens)[1], before[1])
    later = torch.cat([tokens[:, :4], tokens[:, 4:].flip(0)], dim=1)
    torch.testing.assert_close(captioner(images, later)[:, :4], before[:, :4])


@each_encoder
def test_the_cache_and_one_beam_write_what_greedy_search_writes_without(kind):
    captioner, (images, _) = make_captioner(kind), make_batch()
    model, start = captioner.given(images), torch.ones(3, 1, dtype=torch.long)
    options = {"max_new_tokens": 8, "stop_token": 2, "pad_token": 0}
    plain = greedy_search(model, start, use_cache=False, **options)
    assert greedy_search(model, start, **options).equal(plain)
    beams = beam_search(model, start, num_beams=1, **options)
    assert beams.tokens[:, 0].equal(plain)
    wide = beam_search(model, start, num_beams=3, **options)
    assert (wide.scores[:, 0] >= beams.scores[:, 0] - 1e-9).all()


def test_the_rows_of_an_image_stand_one_after_the_other():
    captioner, (images, tokens) = make_captioner(), make_batch(size=6)
    expected = captioner(images[:3].repeat_interleave(2, dim=0), tokens)
    torch.testing.assert_close(captioner.given(images[:3])(tokens), expected)
    assert not captioner(images[:3].repeat(2, 1, 1, 1), tokens).allclose(expected)


def test_a_captioner_in_training_mode_does_not_write():
    captioner, (images, _) = make_captioner().train(), make_batch()
    with pytest.raises(ValueError, match="evaluation mode"):
        greedy_search(captioner.given(images), torch.ones(3, 1).long(), max_new_tokens=2)


def test_the_maps_are_those_of_the_words_over_the_places():
    captioner, (images, tokens) = make_captioner(), make_batch()
    to_places = attention_maps(captioner, images, tokens, of="cross_attn")
    to_words = attention_maps(captioner, images, tokens, of="decoder.layers.layers.0.self_attn")
    assert [each.shape for each in to_places] == [(3, 2, 7, 9)] * 2
    assert [each.shape for each in to_words] == [(3, 2, 7, 7)]
    for weights in to_places:
        torch.testing.assert_close(weights.sum(dim=-1), torch.ones(3, 2, 7).double())
        assert not weights.requires_grad


def test_positions_add_the_row_and_the_column():
    positions = GridPositions(side=2, embed_dim=1)
    with torch.no_grad():
        positions.rows.copy_(torch.tensor([[[10.0]], [[20.0]]]))
        positions.columns.copy_(torch.tensor([[[1.0], [2.0]]]))
    assert positions(torch.zeros(1, 4, 1)).flatten().tolist() == [11, 12, 21, 22]


class Pooled(nn.Module):
    def forward(self, images):
        return images.mean(dim=(2, 3))


@pytest.mark.usefixtures("unchecked_shapes")
@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda c, i, t: Captioner("x", c.decoder), TypeError, "encoder must be an nn.Module"),
        (lambda c, i, t: Captioner(c.encoder, None), TypeError, "decoder must be an nn.Module"),
        (
            lambda c, i, t: Captioner(PatchEncoder(embed_dim=8), c.decoder),
            ValueError,
            "encoder must have embed_dim=16 like decoder, got 8",
        ),
        (lambda c, i, t: Captioner(c.encoder, c.encoder), ValueError, "share no parameter"),
        (
            lambda c, i, t: Captioner(Pooled(), c.decoder)(i, t),
            ValueError,
            r"encoder must return a memory of shape \(3, places, embed_dim\), got \(3, 3\)",
        ),
        (lambda c, i, t: c(i, t[0]), ValueError, r"tokens must have shape \(batch, length\)"),
        (lambda c, i, t: c(i[:, :, 1:], t), ValueError, r"images must have shape \(batch, 3, 18"),
        (lambda c, i, t: c((255 * i).long(), t), TypeError, "images must be a tensor of floats"),
        (lambda c, i, t: c.given(i)(t[:2]), ValueError, "tokens must have a multiple of 3 rows"),
        (lambda c, i, t: c(i, t.repeat(1, 2)), ValueError, "max_len=11"),
        (
            lambda c, i, t: TextDecoder(nn.Identity(), vocab_size=3, max_len=4),
            TypeError,
            "layers must be a TransformerDecoder, got Identity",
        ),
        (
            lambda c, i, t: TextDecoder(
                make_layers(cross_attention=False), vocab_size=3, max_len=4
            ),
            ValueError,
            "layers must have cross-attention",
        ),
        (
            lambda c, i, t: ConvEncoder(embed_dim=8, image_size=20),
            ValueError,
            "image_size must be a multiple of 6, got 20",
        ),
        (
            lambda c, i, t: ConvEncoder(embed_dim=8, channels=(4,)),
            ValueError,
            "channels must hold two numbers",
        ),
        (
            lambda c, i, t: PatchEncoder(embed_dim=8, patch_size=7),
            ValueError,
            "image_size must be a multiple of 7, got 18",
        ),
        (
            lambda c, i, t: GridPositions(side=2, embed_dim=4)(torch.zeros(1, 5, 4)),
            ValueError,
            "x must have 4 places, got 5",
        ),
    ],
)
def test_what_does_not_fit_is_refused(call, error, says):
    with pytest.raises(error, match=says):
        call(make_captioner(), *make_batch())
