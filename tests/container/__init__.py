"""The container image is what the runbook says it is: on a real engine, with real kills."""
