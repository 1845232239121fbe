"""Who the humans of each century are."""
