"""Both engines on a GPU, at the size of a real model: `python -m bench.gpu`.

Weights are random, for what a GPU does depends on their shapes and not on their values; what is said is no
text, so its length is forced. Nothing is downloaded.
"""
