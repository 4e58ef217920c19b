"""RuntimeClass ``process``: a container is a supervised process group of the host.

On disk, per pod, below the runtime's root::

    <uid>/supervisor/   requests, events (FIFOs), lock      0700: whoever can open them is the agent's user
    <uid>/containers/<name>/<attempt>/  spec, running, exit (records)
    <uid>/containers/<name>/root/       the container's own folder; volumes appear in it as links
    <uid>/logs/<name>/<attempt>.log     CRI format, rotated

The truth is in the records; what travels through the FIFOs are doorbells. The agent writes a spec and rings; the
supervisor writes what happened, durably, and rings back. So either side may die at any moment and be started again,
and nothing that matters was only in a pipe. ``supervisor``, ``launch``, ``spawn``, ``logs`` and ``records`` run in
the supervisor and import nothing but a few C modules, because there is one supervisor per pod.

A supervisor outlives upgrades of the agent, and going back to an older one: verbs and fields are only ever added, and
whoever does not know one passes over it (``tests/…/process/test_versions.py`` spells version 1 out).
"""
