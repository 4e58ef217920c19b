"""Ways to move frames between two ends: one interface, several implementations."""
