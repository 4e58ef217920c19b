"""What of a pod this runtime acts on and not every runtime does, in the words of :mod:`edgecore.pods.unsupported`."""

from __future__ import annotations

from typing import Final

HONOURED: Final = frozenset(
    {
        "dnsConfig",
        "dnsPolicy",
        "hostAliases",
        "lifecycle.stopSignal",
        "resources.limits",
        "securityContext.allowPrivilegeEscalation",
        "securityContext.appArmorProfile",
        "securityContext.capabilities",
        "securityContext.privileged",
        "securityContext.readOnlyRootFilesystem",
        "securityContext.seLinuxOptions",
        "securityContext.seccompProfile",
        "securityContext.sysctls",
        "stdin",
        "terminationMessagePath",
        "terminationMessagePolicy",
        "tty",
    }
)
