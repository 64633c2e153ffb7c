"""The scripts that make the demo model's speech and its weights."""
