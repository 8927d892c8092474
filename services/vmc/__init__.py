"""A 3D avatar on the bus: her face as packets of the Virtual Motion Capture protocol."""
