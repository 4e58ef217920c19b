"""Device twins: what a device should be and what it says it is, with versions on both sides."""
