"""What is asked of services outside of the run: requests, how one try at them went, and what came of it."""
