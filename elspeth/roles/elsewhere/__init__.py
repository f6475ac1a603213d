"""What a worker on another machine has in place of the files of the head machine."""
