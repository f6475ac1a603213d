"""A simulated run around the coordinator's machine: no process, no clock."""
