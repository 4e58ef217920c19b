"""Subresources: parts of an object with a path of their own."""
