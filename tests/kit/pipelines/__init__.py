"""Pipelines to run, crash and compare: by hand, at random, and interpreted the plain way."""
