"""What turns a batch into outcomes: one module an engine, behind the seam in `base`."""
