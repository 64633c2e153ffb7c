"""What a producer and a worker say to each other: standard library only, no I/O."""
