"""One YAML file, its environment and its secrets, checked; every problem with its line."""
