"""Her page for OBS, and the bus for browsers: HTTP and WebSocket on one side, the bus on the other."""
