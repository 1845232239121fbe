"""Reading historical text."""
