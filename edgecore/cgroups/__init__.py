"""Control groups: what holds pods within their limits, measures them, and can slow, pause and end them whole."""
