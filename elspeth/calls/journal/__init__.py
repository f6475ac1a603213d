"""What was asked and answered and is not durable elsewhere yet: a redo log of calls, files of its own per process."""
