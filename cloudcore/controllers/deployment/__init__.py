"""The Deployment controller: revisions, rolling updates, scaling and conditions, as ``kubectl rollout`` expects.

:mod:`.plan` decides from what is observed; :mod:`.controller` reads, plans and writes. Each plan takes one step that is
safe by itself; the change it causes brings the next one.
"""

from cloudcore.controllers.deployment.controller import DeploymentController

__all__ = ["DeploymentController"]
