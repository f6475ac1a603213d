"""A small runtime for supervised actors in processes of their own. It knows nothing of rows, sinks or databases."""
