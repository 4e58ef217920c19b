"""Validation: schemas and the rules beyond them."""
