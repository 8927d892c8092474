"""The bus process: owns the public addresses."""
