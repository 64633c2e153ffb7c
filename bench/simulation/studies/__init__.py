"""What is simulated, one question to a module."""
