"""Runs pods as containers of a Docker Engine, or of Podman through its compatible socket.

A pod is a sandbox container, which holds the network, the IPC and, where asked for, the process namespace, and the
pod's own containers in it. All of it outlives the agent: containers carry labels that say whose they are, and the
next agent finds them by these. Policy stays with the pods machine: Docker restarts nothing by itself.

``references``, ``labels``, ``configs``, ``states``, ``garbage`` and ``pause`` are pure; ``engine`` is the only module
that knows aiodocker, which is imported only where this runtime is enabled.
"""
