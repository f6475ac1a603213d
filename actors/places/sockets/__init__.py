"""Agents as processes of this machine, each behind a socket: for trying out what is to run on other machines."""
