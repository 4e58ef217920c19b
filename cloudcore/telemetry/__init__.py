"""What the daemon tells about itself: Prometheus metrics, and how late its event loop runs."""
