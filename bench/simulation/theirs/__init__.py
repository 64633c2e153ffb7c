"""The peers' own code in simulated time, run by a Python that has it."""
