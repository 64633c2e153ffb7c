"""The claim transport: messages move from the queue into this worker's in-flight record in one step.

kombu's own Redis transport pops a message and records it afterwards; what was popped when a worker
dies in between is gone, and what a dead worker had recorded comes back after an hour. Here one script
does both, a lease says that the worker lives, and any living worker returns a dead one's messages.
"""
