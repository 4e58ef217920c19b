"""Controllers: level-based loops that bring what is there to what is wanted.

Each file holds one kind: a pure ``plan`` from what was observed to actions, and a short ``reconcile`` that reads the
caches, plans, and carries the actions out. :mod:`cloudcore.controllers.runtime` drives them.
"""
