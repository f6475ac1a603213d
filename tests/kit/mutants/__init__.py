"""Breaks of the code, one at a time, that tests are to notice: those that break a promise, and random ones."""
