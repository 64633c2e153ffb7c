"""Which items run together, and when: pure, with time as an argument."""
