"""Tests that ask a real model. Only on demand: `ops/test -m model`."""
