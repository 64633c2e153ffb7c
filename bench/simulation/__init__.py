"""Engines in simulated time: the shipped batcher against its peers and the best possible."""
