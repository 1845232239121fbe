"""Naming, running and tuning language models."""
