"""The three challenges."""
