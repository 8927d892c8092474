"""What more than one process uses: the wire, the bus, the tables, the supervisor and the model."""
