"""Kinds of volumes on the device's disk, one module for each matter; :mod:`edgecore.pods.volumes` joins them."""
