"""Which row, batch or token is to blame for a death, and how that is found out. Pure."""
