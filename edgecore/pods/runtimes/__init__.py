"""What can run a container: one interface, one module or package per runtime."""
