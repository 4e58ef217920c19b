"""Tokens of service accounts on the device: asked for, kept, rotated, and known again when a pod shows one."""
