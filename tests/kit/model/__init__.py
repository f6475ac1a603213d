"""A real model, small enough for any machine, that answers in the form of OpenAI's service on this machine."""
