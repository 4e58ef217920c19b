"""What cloudcore and edgecore share: the wire, the reliable link, and Kubernetes object rules."""
