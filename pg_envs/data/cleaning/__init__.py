"""Cleaning historical text: each fault is found by a small named rule and answered by drop, repair, relabel or split.

Early forms are language and stay: thorn, yogh, eth, long s, abbreviations, Middle English spelling.
"""
