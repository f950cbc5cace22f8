"""The Transformer's building blocks, each tested equal to PyTorch's.

Nothing is imported here: ``import tutorial_lib.attention`` loads PyTorch and no more. Lightning,
matplotlib and seaborn are loaded only by the modules that are about them.
"""
