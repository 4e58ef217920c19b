"""Certificate requests: signing those that are approved, removing those that are done with."""

from cloudcore.controllers.certificates.cleanup import CertificateCleanupController
from cloudcore.controllers.certificates.signing import CertificateSigningController

__all__ = ["CertificateCleanupController", "CertificateSigningController"]
