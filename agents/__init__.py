"""Example agents: one readable file each. See ``agents.base`` for the contract."""
