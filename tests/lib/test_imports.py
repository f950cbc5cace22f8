"""The blocks need PyTorch alone: Lightning and the drawing packages stay out."""

from __future__ import annotations

import subprocess
import sys

HEAVY = ("pytorch_lightning", "lightning", "matplotlib", "seaborn", "transformers")
LIGHT = (
    "",
    ".validation",
    ".masks",
    ".positions",
    ".left_padding",
    ".cache",
    ".attention",
    ".feed_forward",
    ".layers",
    ".encoder",
    ".decoder",
    ".transformer",
    ".embedding",
    ".language_model",
    ".seq2seq",
    ".next_token",
    ".generation",
    ".teacher_forcing",
    ".measure",
    ".data.batches",
    ".data.pairs",
    ".data.stories",
    ".data.story_rules",
    ".ranking",
    ".data.captions",
    ".data.shapes",
    ".data.lexicon",
    ".data.language_pair",
    ".data.length_batches",
    ".data.parallel_text",
    ".data.text",
    ".data.encodings",
    ".data.windows",
    ".ngram",
    ".perplexity",
    ".masked_language_model",
    ".interop",
    ".schedules",
    ".tagger",
    ".image_embedding",
    ".set_network",
    ".data.subpixel",
    ".data.image_sets",
    ".text_decoder",
    ".image_encoders",
    ".captioner",
    ".training",
    ".results",
    ".patches",
    ".vision",
    ".convnet",
    ".rollout",
    ".interop.huggingface_vision",
    ".exercises.checker",
)
SCRIPT = f"""
import importlib, sys
for name in {LIGHT!r}:
    importlib.import_module("tutorial_lib" + name)
    loaded = [heavy for heavy in {HEAVY!r} if heavy in sys.modules]
    assert not loaded, f"tutorial_lib{{name}} loads {{loaded}}"
    assert name or "torch" not in sys.modules, "tutorial_lib loads torch"
print("light")
"""


def test_the_blocks_load_neither_lightning_nor_the_drawing_packages():
    # One process for all: nothing that a first module loads could be blamed on a later one.
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "light", done.stderr
