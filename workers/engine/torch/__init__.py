"""A second engine behind the same seam: Whisper in PyTorch, with the batched decoding spelled out.

Everything above the network (prompts, windows, gates, words) is shared with the faster-whisper engine.
"""
