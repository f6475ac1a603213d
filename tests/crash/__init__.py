"""What happens when processes die: the command is run as its user runs it, killed, and resumed."""
