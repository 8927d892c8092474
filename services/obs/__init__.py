"""OBS on the bus: texts, scenes and sources that follow the show."""
