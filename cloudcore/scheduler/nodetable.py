"""The node table: what the scheduler knows of all nodes, as a struct of arrays. Sans-IO.

Rows are reused. What changes with each placement (use) and what changes seldom (labels, taints) are told apart, so
that whoever keeps results per pod shape can bring them up to date by one row, or knows to begin anew.
"""

from __future__ import annotations

import enum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from cloudcore.scheduler.columns import Column, Mask, Rows
from protocol.objects.keys import Body
from protocol.objects.podrequests import CPU, EPHEMERAL, MEMORY, PODS, Amounts, known_amounts
from protocol.objects.selectors import Requirement, Selector
from protocol.objects.tolerations import Taint, taints_of
from protocol.objects.wellknown import RUNTIMES

NAME_FIELD: Final = "metadata.name"
_MAX_LABEL_COLUMNS: Final = 256
_FIRST_CAPACITY: Final = 64


class NodeChange(enum.Flag):
    """What an update of a node amounts to for the scheduler."""

    NOTHING = 0
    ADDED = enum.auto()
    FEATURES = enum.auto()
    """Labels, taints, runtimes, or whether it takes pods."""
    CAPACITY = enum.auto()


class NodeTable:
    """All nodes, by row.

    Attributes:
        size: Rows in use are below this; use ``everywhere`` for all of them.
        valid: Whether the row's Node object exists (pods may be known before their node is).
        unschedulable: ``spec.unschedulable``.
        taints: The node's taints.
        runtimes: The runtimes that the node offers; none where it does not say.
        features_version: Grows when anything but the use of a node changes.
    """

    def __init__(self) -> None:
        self.size = 0
        self.features_version = 0
        self._capacity = _FIRST_CAPACITY
        self._names: list[str] = []
        self._row_of: dict[str, int] = {}
        self._spare: list[int] = []
        self._labels: list[dict[str, str]] = []
        self._columns: dict[str, Column[str]] = {}
        self._resources: dict[str, int] = {name: number for number, name in enumerate((CPU, MEMORY, EPHEMERAL, PODS))}
        self._allocatable = np.zeros((len(self._resources), self._capacity), np.int64)
        self._used = np.zeros_like(self._allocatable)
        self._scored = np.zeros((2, self._capacity), np.int64)
        self.valid = np.zeros(self._capacity, np.bool_)
        self.unschedulable = np.zeros(self._capacity, np.bool_)
        self.taints: Column[tuple[Taint, ...]] = Column(self._capacity)
        self.runtimes: Column[frozenset[str]] = Column(self._capacity)
        self._uses: list[int] = []
        self._uses_before = 0

    @property
    def everywhere(self) -> slice:
        """All rows."""
        return slice(0, self.size)

    def row(self, name: str) -> int | None:
        """Return the row of node ``name``, or None."""
        return self._row_of.get(name)

    def name(self, row: int) -> str:
        """Return the name of the node in ``row``."""
        return self._names[row]

    def count(self) -> int:
        """Return how many nodes exist."""
        return int(np.count_nonzero(self.valid[: self.size]))

    # What nodes are

    def put(self, node: Body) -> NodeChange:
        """Take in an added or changed Node."""
        name, spec, status = node["metadata"]["name"], node.get("spec") or {}, node.get("status") or {}
        row = self._row(name)
        change = NodeChange.NOTHING if self.valid[row] else NodeChange.ADDED
        if self._put_features(row, node["metadata"], spec, status) or change:
            self.valid[row] = True
            self.features_version += 1
            change |= NodeChange.FEATURES
        if self._put_capacity(row, known_amounts(status.get("allocatable") or status.get("capacity") or {})):
            change |= NodeChange.CAPACITY
        return change

    def remove(self, name: str) -> None:
        """Take in the deletion of a Node. Pods charged to it stay charged until they are gone too."""
        row = self._row_of.get(name)
        if row is None or not self.valid[row]:
            return
        self.valid[row] = False
        self._allocatable[:, row] = 0
        self.features_version += 1
        self._release_if_unused(row)

    def matches(self, requirement: Requirement, rows: Rows) -> Mask:
        """Return which nodes' labels satisfy ``requirement``."""
        return _matches(self._label_column(requirement.key), requirement, rows)

    def matches_field(self, requirement: Requirement, rows: Rows) -> Mask:
        """Return which nodes' fields satisfy ``requirement``; ``metadata.name`` is the only field there is."""
        if requirement.key != NAME_FIELD:
            return np.zeros(self.size, np.bool_)[rows]
        return _matches(self._label_column(""), requirement, rows)

    def matches_all(self, selector: Selector, rows: Rows) -> Mask:
        """Return which nodes' labels satisfy all of ``selector``."""
        mask: Mask = np.ones(self.size, np.bool_)[rows]
        for requirement in selector:
            mask = mask & self.matches(requirement, rows)
        return mask

    # What is used of them

    def charge(self, name: str, requests: Amounts, scored: tuple[int, int], sign: int) -> None:
        """Add what a pod takes to node ``name`` (``sign`` 1), or give it back (-1)."""
        row = self._row(name)
        for resource, amount in requests.items():
            number = self._resource(resource)  # may make a new column: not inside the subscript below
            self._used[number, row] += sign * amount
        self._scored[0, row] += sign * scored[0]
        self._scored[1, row] += sign * scored[1]
        self._note_use(row)
        if sign < 0:
            self._release_if_unused(row)

    def free(self, resource: str, rows: Rows) -> NDArray[np.int64]:
        """Return how much of ``resource`` is left on each node."""
        number = self._resource(resource)
        left: NDArray[np.int64] = self._allocatable[number][rows] - self._used[number][rows]
        return left

    def allocatable(self, resource: str, rows: Rows) -> NDArray[np.int64]:
        """Return how much of ``resource`` each node has for pods."""
        number = self._resource(resource)
        amounts: NDArray[np.int64] = self._allocatable[number][rows]
        return amounts

    def scored_use(self, resource: str, rows: Rows) -> NDArray[np.int64]:
        """Return how much ``cpu`` or ``memory`` is used as scores count it."""
        amounts: NDArray[np.int64] = self._scored[0 if resource == CPU else 1][rows]
        return amounts

    @property
    def use_position(self) -> int:
        """The place after the newest change of use."""
        return self._uses_before + len(self._uses)

    def used_since(self, position: int) -> set[int] | None:
        """Return the rows whose use changed since ``position``; None where that is too long ago to tell."""
        start = position - self._uses_before
        return None if start < 0 else set(self._uses[start:])

    def check_invariants(self) -> None:
        """Check what must always hold (for tests).

        Raises:
            AssertionError: It does not.
        """
        assert len(self._row_of) + len(self._spare) == self.size == len(self._names)
        assert all(self._names[row] == name for name, row in self._row_of.items())
        assert not self.valid[self._spare].any()
        assert not self._used[:, self._spare].any()

    def _note_use(self, row: int) -> None:
        self._uses.append(row)
        if len(self._uses) > max(2 * self.size, 1024):
            half = len(self._uses) // 2
            del self._uses[:half]
            self._uses_before += half

    def _put_features(self, row: int, metadata: Body, spec: Body, status: Body) -> bool:
        labels = metadata.get("labels") or {}
        taints = taints_of({"spec": spec})
        unschedulable = bool(spec.get("unschedulable"))
        runtimes = _runtimes(metadata, status)
        if (labels, taints, unschedulable, runtimes) == (
            self._labels[row],
            self.taints.value(row),
            bool(self.unschedulable[row]),
            self.runtimes.value(row),
        ):
            return False
        self._labels[row] = labels
        for key, column in self._columns.items():
            column.set(row, labels.get(key) if key else self._names[row])
        self.taints.set(row, taints)
        self.unschedulable[row] = unschedulable
        self.runtimes.set(row, runtimes)
        return True

    def _put_capacity(self, row: int, amounts: Amounts) -> bool:
        numbers = {self._resource(name): amount for name, amount in amounts.items()}
        before = self._allocatable[:, row].copy()
        self._allocatable[:, row] = 0
        for number, amount in numbers.items():
            self._allocatable[number, row] = amount
        if (before == self._allocatable[:, row]).all():
            return False
        self._note_use(row)
        return True

    def _label_column(self, key: str) -> Column[str]:
        # The column of the empty key, which no label has, holds the nodes' names.
        column = self._columns.get(key)
        if column is None:
            if len(self._columns) >= _MAX_LABEL_COLUMNS:
                del self._columns[next(iter(self._columns))]
            column = self._columns[key] = Column(self._capacity)
            for row, labels in enumerate(self._labels):
                column.set(row, labels.get(key) if key else self._names[row])
        return column

    def _row(self, name: str) -> int:
        row = self._row_of.get(name)
        if row is not None:
            return row
        if self._spare:
            row = self._spare.pop()
            self._names[row] = name
            self._labels[row] = {}
        else:
            row = self.size
            self._names.append(name)
            self._labels.append({})
            self.size += 1
            if self.size > self._capacity:
                self._grow(2 * self._capacity)
        self._row_of[name] = row
        self.features_version += 1
        if "" in self._columns:
            self._columns[""].set(row, name)
        return row

    def _release_if_unused(self, row: int) -> None:
        if self.valid[row] or self._used[:, row].any():
            return
        del self._row_of[self._names[row]]
        self._names[row] = ""
        self._labels[row] = {}
        for column in self._columns.values():
            column.set(row, None)
        self._spare.append(row)

    def _resource(self, name: str) -> int:
        number = self._resources.get(name)
        if number is None:
            number = self._resources[name] = len(self._resources)
            extra = np.zeros((1, self._capacity), np.int64)
            self._allocatable = np.concatenate((self._allocatable, extra))
            self._used = np.concatenate((self._used, extra))
        return number

    def _grow(self, capacity: int) -> None:
        more = capacity - self._capacity
        self._allocatable, self._used, self._scored = (
            np.pad(array, ((0, 0), (0, more))) for array in (self._allocatable, self._used, self._scored)
        )
        self.valid, self.unschedulable = (np.pad(array, (0, more)) for array in (self.valid, self.unschedulable))
        self.taints.grow(capacity)
        self.runtimes.grow(capacity)
        for column in self._columns.values():
            column.grow(capacity)
        self._capacity = capacity


def _runtimes(metadata: Body, status: Body) -> frozenset[str] | None:
    """Return what the agent reports, or else what was settled when the node joined."""
    reported = [handler.get("name") or "" for handler in status.get("runtimeHandlers") or ()]
    if any(reported):
        return frozenset(name for name in reported if name)
    listed = (metadata.get("annotations") or {}).get(RUNTIMES) or (metadata.get("labels") or {}).get(RUNTIMES)
    return frozenset(name.strip() for name in listed.split(",")) if listed else None


def _matches(column: Column[str], requirement: Requirement, rows: Rows) -> Mask:
    match requirement.operator:
        case "In":
            return column.among(requirement.values, rows)
        case "NotIn":
            return ~column.among(requirement.values, rows)
        case "Exists":
            return column.present(rows)
        case "DoesNotExist":
            return ~column.present(rows)
    key = requirement.key
    return column.test(lambda value: requirement.matches({key: value}), rows, absent=False)
