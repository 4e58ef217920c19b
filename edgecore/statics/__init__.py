"""Static pods: pods from files of this device, which need no cloud, and the mirrors that show them there."""
