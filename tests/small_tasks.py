"""The tasks of the experiments, each with a small network and a little data."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytorch_lightning as pl
import torch
from torch import nn

from tutorial_lib.decoder import TransformerDecoder
from tutorial_lib.experiments.captions.data import ShapesDataModule
from tutorial_lib.experiments.captions.image_encoders import PatchEncoder
from tutorial_lib.experiments.captions.task import CaptioningTask
from tutorial_lib.experiments.captions.text_decoder import TextDecoder
from tutorial_lib.experiments.images.data import DigitDataModule
from tutorial_lib.experiments.images.network import VisionTransformer
from tutorial_lib.experiments.images.task import Classifier
from tutorial_lib.experiments.odd_one_out.data import OddOneOutDataModule
from tutorial_lib.experiments.odd_one_out.image_embedding import ConvEmbedding
from tutorial_lib.experiments.odd_one_out.network import SetNetwork
from tutorial_lib.experiments.ordering.data import OrderingDataModule
from tutorial_lib.experiments.ordering.network import EncoderScorer, hugging_face_scorer
from tutorial_lib.experiments.ordering.task import SentenceOrderingTask
from tutorial_lib.experiments.reverse.data import ReverseDataModule
from tutorial_lib.experiments.reverse.task import SequenceTagger
from tutorial_lib.experiments.sort.data import PairDataModule
from tutorial_lib.experiments.sort.task import Seq2SeqTask
from tutorial_lib.experiments.tiny_gpt.data import TextDataModule
from tutorial_lib.experiments.tiny_gpt.task import LanguageModeling
from tutorial_lib.language_model import TransformerLanguageModel
from tutorial_lib.lightning.task import Task
from tutorial_lib.seq2seq import Seq2SeqTransformer
from tutorial_lib.tagger import TaggerNetwork

SIZES: dict[str, Any] = {"train_size": 256, "val_size": 20, "test_size": 21, "batch_size": 16}
TOKENS = {"pad_token": 0, "start_token": 1, "end_token": 2}


class Small(NamedTuple):
    """What it takes to train a task: its class, its parts, its settings, its data."""

    kind: type[Task]
    make_parts: Callable[[], dict[str, nn.Module]]
    settings: dict[str, Any]  # all that a checkpoint keeps
    make_data: Callable[[], pl.LightningDataModule]

    def parts(self, seed: int = 0) -> dict[str, nn.Module]:
        """Build the parts of the network, with the weights of a seed."""
        torch.manual_seed(seed)
        return self.make_parts()

    def task(self, **settings: Any) -> Any:
        """Build the task."""
        return self.kind(**(self.parts() | self.settings | settings))


def _captioner() -> dict[str, nn.Module]:
    sizes = {"num_layers": 1, "embed_dim": 16, "num_heads": 2, "dim_feedforward": 32}
    encoder = PatchEncoder(embed_dim=16)
    layers = TransformerDecoder(**sizes, norm_first=True)
    return {"encoder": encoder, "decoder": TextDecoder(layers, vocab_size=18, max_len=11)}


def _image_network() -> dict[str, nn.Module]:
    sizes = {"image_size": 8, "num_channels": 1, "num_classes": 10, "patch_size": 2}
    network = VisionTransformer(**sizes, embed_dim=16, num_heads=4, num_layers=1, position_std=0.1)
    return {"network": network}


def _set_network() -> dict[str, nn.Module]:
    embedding = ConvEmbedding(image_size=8, num_channels=1, embed_dim=32, width=8)
    return {"network": SetNetwork(embedding, input_dim=32, embed_dim=32, num_heads=2)}


def _writer() -> dict[str, nn.Module]:
    sizes = {"embed_dim": 16, "num_heads": 2, "num_layers": 1, "max_len": 8}
    return {"network": Seq2SeqTransformer(src_vocab_size=6, pad_token=0, norm_first=True, **sizes)}


def _tagger() -> dict[str, nn.Module]:
    return {"network": TaggerNetwork(input_dim=4, num_classes=4, embed_dim=16)}


def _language_model() -> dict[str, nn.Module]:
    sizes = {"embed_dim": 16, "num_heads": 2, "num_layers": 1}
    return {"network": TransformerLanguageModel(vocab_size=280, positions="rotary", **sizes)}


def _scorer(kind: Callable[..., nn.Module]) -> Callable[[], dict[str, nn.Module]]:
    return lambda: {"network": kind(vocab_size=128, embed_dim=16, num_heads=2)}


def _text() -> TextDataModule:
    path = Path(tempfile.mkdtemp(), "own.txt")
    path.write_text("\n\n".join(f"Line {i}: “{i * i}” is a square." for i in range(60)), "utf-8")
    module = TextDataModule(path=str(path), vocab_size=280, length=8, batch_size=64)
    module.setup("fit")
    path.unlink()
    path.parent.rmdir()
    return module


DECAYED = {"learning_rate": 1e-2, "warmup_steps": 3, "weight_decay": 0.1}
PLAIN = {"learning_rate": 1e-2, "warmup_steps": 3}
SMALL = {
    "captions": Small(
        CaptioningTask,
        _captioner,
        TOKENS | PLAIN | {"encoder_factor": 0.1, "freeze_encoder": False},
        lambda: ShapesDataModule(**SIZES),
    ),
    "images": Small(Classifier, _image_network, DECAYED, lambda: DigitDataModule(batch_size=64)),
    "odd_one_out": Small(
        Classifier,
        _set_network,
        DECAYED | {"learning_rate": 5e-3},
        lambda: OddOneOutDataModule(set_size=4, max_shift=0.0, **SIZES),
    ),
    "ordering": Small(
        SentenceOrderingTask,
        _scorer(hugging_face_scorer),
        DECAYED,
        lambda: OrderingDataModule(**SIZES),
    ),
    "ordering, ours": Small(
        SentenceOrderingTask,
        _scorer(EncoderScorer),
        PLAIN | {"weight_decay": 0.0},
        lambda: OrderingDataModule(**SIZES),
    ),
    "reverse": Small(
        SequenceTagger,
        _tagger,
        PLAIN | {"num_categories": 4},
        lambda: ReverseDataModule(num_categories=4, length=3, **SIZES),
    ),
    "sort": Small(
        Seq2SeqTask,
        _writer,
        TOKENS | PLAIN | {"label_smoothing": 0.0, "use_cache": True, "schedule": "cosine"},
        lambda: PairDataModule(task="copy", num_symbols=3, min_length=3, max_length=3, **SIZES),
    ),
    "tiny_gpt": Small(LanguageModeling, _language_model, DECAYED, _text),
}
