"""What devices have reported: the log of it on disk, and what the API shows of it."""
