"""How runs stand and what happened to them, for commands to show."""
