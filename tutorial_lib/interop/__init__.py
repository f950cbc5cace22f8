"""Our twins of other libraries' models, with their weights."""

from tutorial_lib.interop.huggingface import from_huggingface
from tutorial_lib.interop.torch_nn import from_torch

__all__ = ["from_huggingface", "from_torch"]
