"""One cloud, two edge nodes, an app, and a link that is cut: all real processes on loopback."""
