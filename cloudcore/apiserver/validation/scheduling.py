"""Rules of what steers placement: taints, tolerations, affinity.

Source: Kubernetes ``ValidateTolerations``, ``ValidateNodeSelector``.
"""

from __future__ import annotations

from typing import Any, Final

from cloudcore.apiserver.validation.fields import duplicate, invalid, one_of, required
from cloudcore.errors import Cause
from protocol.objects.keys import Body
from protocol.objects.selectors import is_label_key, is_label_value

_EFFECTS: Final = frozenset({"NoSchedule", "PreferNoSchedule", "NoExecute"})
_TOLERATION_OPERATORS: Final = frozenset({"Equal", "Exists"})
_NODE_OPERATORS: Final = frozenset({"In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt"})
_LABEL_OPERATORS: Final = frozenset({"In", "NotIn", "Exists", "DoesNotExist"})
_BAD_KEY: Final = "must be a qualified name"


def check_tolerations(path: str, tolerations: list[Body]) -> list[Cause]:
    """Return what is wrong with a pod's tolerations."""
    causes: list[Cause] = []
    for index, toleration in enumerate(tolerations):
        below, key, effect = f"{path}[{index}]", toleration.get("key", ""), toleration.get("effect", "")
        operator = toleration.get("operator") or "Equal"
        causes += one_of(f"{below}.operator", operator, _TOLERATION_OPERATORS)
        if key and not is_label_key(key):
            causes.append(invalid(f"{below}.key", key, _BAD_KEY))
        if not key and operator != "Exists":
            detail = 'operator must be Exists when `key` is empty, which means "match all values and all keys"'
            causes.append(invalid(f"{below}.operator", operator, detail))
        if operator == "Exists" and toleration.get("value"):
            detail = "value must be empty when `operator` is 'Exists'"
            causes.append(invalid(f"{below}.value", toleration["value"], detail))
        if "tolerationSeconds" in toleration and effect != "NoExecute":
            causes.append(
                invalid(f"{below}.effect", effect, "effect must be 'NoExecute' when `tolerationSeconds` is set")
            )
        elif effect:
            causes += one_of(f"{below}.effect", effect, _EFFECTS)
    return causes


def check_taints(path: str, taints: list[Body]) -> list[Cause]:
    """Return what is wrong with a node's taints."""
    causes: list[Cause] = []
    seen: set[tuple[Any, Any]] = set()
    for index, taint in enumerate(taints):
        below, key, value = f"{path}[{index}]", taint.get("key", ""), taint.get("value", "")
        if not is_label_key(key):
            causes.append(invalid(f"{below}.key", key, _BAD_KEY))
        if not is_label_value(value):
            causes.append(invalid(f"{below}.value", value, "must be a valid label value"))
        causes += one_of(f"{below}.effect", taint.get("effect"), _EFFECTS)
        if (key, taint.get("effect")) in seen:
            causes.append(duplicate(f"{below}.effect", taint.get("effect")))
        seen.add((key, taint.get("effect")))
    return causes


def check_affinity(path: str, affinity: Body) -> list[Cause]:
    """Return what is wrong with a pod's node affinity."""
    node = affinity.get("nodeAffinity") or {}
    below = f"{path}.nodeAffinity"
    causes: list[Cause] = []
    needed = node.get("requiredDuringSchedulingIgnoredDuringExecution")
    if needed is not None:
        terms_path = f"{below}.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms"
        terms = needed.get("nodeSelectorTerms") or []
        if not terms:
            causes.append(required(terms_path, "must have at least one node selector term"))
        for index, term in enumerate(terms):
            causes += _check_term(f"{terms_path}[{index}]", term)
    for index, preferred in enumerate(node.get("preferredDuringSchedulingIgnoredDuringExecution") or ()):
        where = f"{below}.preferredDuringSchedulingIgnoredDuringExecution[{index}]"
        if not 1 <= preferred.get("weight", 0) <= 100:
            causes.append(invalid(f"{where}.weight", preferred.get("weight"), "must be in the range 1-100"))
        causes += _check_term(f"{where}.preference", preferred.get("preference") or {})
    return causes


def _check_term(path: str, term: Body) -> list[Cause]:
    causes = check_expressions(f"{path}.matchExpressions", term.get("matchExpressions") or [], _NODE_OPERATORS)
    for index, field in enumerate(term.get("matchFields") or ()):
        if field.get("key") != "metadata.name":
            causes.append(
                invalid(f"{path}.matchFields[{index}].key", field.get("key"), "not a valid field selector key")
            )
    return causes


def check_expressions(path: str, expressions: list[Body], operators: frozenset[str]) -> list[Cause]:
    """Return what is wrong with ``matchExpressions``."""
    causes: list[Cause] = []
    for index, item in enumerate(expressions):
        below, operator, values = f"{path}[{index}]", item.get("operator"), item.get("values") or []
        if not is_label_key(item.get("key", "")):
            causes.append(invalid(f"{below}.key", item.get("key"), _BAD_KEY))
        if operator not in operators:
            causes.append(invalid(f"{below}.operator", operator, "not a valid selector operator"))
        elif operator in {"In", "NotIn"} and not values:
            causes.append(required(f"{below}.values", "must be specified when `operator` is 'In' or 'NotIn'"))
        elif operator in {"Exists", "DoesNotExist"} and values:
            detail = "may not be specified when `operator` is 'Exists' or 'DoesNotExist'"
            causes.append(invalid(f"{below}.values", values, detail))
        elif operator in {"Gt", "Lt"} and (len(values) != 1 or not values[0].lstrip("-").isdigit()):
            detail = "must be specified single integer value when `operator` is 'Lt' or 'Gt'"
            causes.append(required(f"{below}.values", detail))
    return causes


def check_label_selector(path: str, selector: Body) -> list[Cause]:
    """Return what is wrong with a label selector."""
    causes = []
    for key, value in (selector.get("matchLabels") or {}).items():
        if not is_label_key(key):
            causes.append(invalid(f"{path}.matchLabels", key, _BAD_KEY))
        if not is_label_value(value):
            causes.append(invalid(f"{path}.matchLabels", value, "must be a valid label value"))
    return causes + check_expressions(
        f"{path}.matchExpressions", selector.get("matchExpressions") or [], _LABEL_OPERATORS
    )
