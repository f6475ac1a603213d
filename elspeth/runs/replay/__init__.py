"""Decides a recorded run again, in one process and without services or outputs, and compares with what is on record."""
