"""What a producer and a worker say to each other: standard library and orjson only, no I/O."""
