"""Compressed files: what kinds there are, how they are unpacked, and how they are written."""
