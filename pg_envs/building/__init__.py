"""Making the bundled histtiny family."""
