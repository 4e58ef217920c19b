"""The way to the cloud: dialling, backing off, and driving one link at a time."""
