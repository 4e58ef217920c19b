"""What this device decides about its pods by itself: whom it admits, and whom it ends when it runs short."""
