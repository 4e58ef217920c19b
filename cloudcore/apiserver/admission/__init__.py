"""Admission: policies that change or refuse a write."""
