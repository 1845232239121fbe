"""Describing historical text: what there is of it century by century, and what its centuries cannot be compared for."""
