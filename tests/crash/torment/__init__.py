"""A campaign of what an adversary, an accident or an operator in a hurry may do to a run, at random, and of what must
hold then."""
