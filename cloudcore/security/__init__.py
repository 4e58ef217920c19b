"""Who is who: the certificate authority, enrolment tokens, and how a device becomes a node."""
