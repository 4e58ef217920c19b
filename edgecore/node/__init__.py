"""What this node is and how it fares: identity, registration facts, load samples, conditions, status."""
