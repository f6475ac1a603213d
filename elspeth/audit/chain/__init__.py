"""The chain of commits: what is digested, in which form, so that a later change of any record shows."""
