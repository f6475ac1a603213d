"""Power cuts: what a run asks of the disk is recorded, and what a disk may have kept of it is looked at and resumed."""
