"""The cast of the README, a terminal as a picture that moves: `python -m ops.cast` draws it anew."""
