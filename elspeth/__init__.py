"""Auditable row pipelines: sense, decide, act, with every decision about every row on record."""

__version__ = "0.1.0"
