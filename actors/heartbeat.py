"""What stands where on the page that a child shares with its parent: the number of each 64-bit word."""

from __future__ import annotations

BEAT, TAKEN, BUSY, WAITING, POSITION, DETAIL, PARENT_BEAT = range(7)
"""Beats of the child; frames it took; whether it is busy, waits; what it is touching (-1: nothing), and where there;
beats of the parent."""
