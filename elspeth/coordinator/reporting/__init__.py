"""What an attempt tells people: how far it is, what it waits for, why a process died."""
