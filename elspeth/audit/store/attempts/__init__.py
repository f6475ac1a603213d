"""What is on record of runs and their attempts beside rows: beginnings, states, claims, suspicions."""
