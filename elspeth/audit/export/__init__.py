"""Copies of the evidence: a folder, a journal, and the one form in which records leave the database."""
