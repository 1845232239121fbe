"""Making families of historical models from texts: one's own, and the bundled histtiny."""
