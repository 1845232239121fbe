"""Wrappers around the environments."""

from wrappers.vector_reward import VectorReward

__all__ = ["VectorReward"]
