"""Custom resources: kinds that a CustomResourceDefinition adds while the server runs."""
