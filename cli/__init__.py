"""The `segue` command, one module per verb family."""
