"""Agents as actors of a Ray cluster, one for each child; `ray` is imported in this room only, and when it is used."""
