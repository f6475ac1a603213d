"""The kit for plugin authors: checks any plugin against the contract."""
