"""A service that answers as language models do, fails in every way they do, and logs what was paid."""
