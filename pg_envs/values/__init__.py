"""Measuring what a model values."""
