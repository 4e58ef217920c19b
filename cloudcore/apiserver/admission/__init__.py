"""Admission: policies that change or refuse a write."""

from __future__ import annotations

from cloudcore.apiserver.admission.standard import Limits, admission_chain

__all__ = ["Limits", "admission_chain"]
