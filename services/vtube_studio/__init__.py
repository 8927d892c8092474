"""A model in VTube Studio as her body: the bus on one side, VTube Studio's plugin API on the other."""
