"""The parts of ``pg-envs benchmark``: which runs there are, what carries them out, where they stand, and the table of them."""
