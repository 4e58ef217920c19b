"""Conversions between the versions of kinds that are served in several. Pure functions."""
