"""Which task, queue, priority number and keys a request goes to."""

from protocol.request import Priority

TASK_NAME = "workers.transcribe"
QUEUE = "segue"

#: kombu's Redis transport keeps one list a step; 0 is the most urgent and what a sender that says
#: nothing gets, hence our own default in the middle.
PRIORITY_STEPS = (0, 5, 9)
PRIORITY_NUMBERS = {Priority.URGENT: 0, Priority.NORMAL: 5, Priority.BULK: 9}
DEFAULT_PRIORITY_NUMBER = PRIORITY_NUMBERS[Priority.NORMAL]

#: What kombu puts between a queue's name and the step (`kombu.transport.redis.Channel.sep`).
PRIORITY_SEPARATOR = "\x06\x16"

#: Celery's result key (`celery.backends.base.KeyValueStoreBackend.task_keyprefix`).
RESULT_KEY_PREFIX = "celery-task-meta-"
PAYLOAD_KEY_PREFIX = "segue:audio:"
CANCEL_KEY_PREFIX = "segue:cancelled:"


def priority_from_number(number: int) -> Priority:
    """The priority whose list kombu keeps `number` in: the step at or below it."""
    step = max((step for step in PRIORITY_STEPS if step <= number), default=0)
    return next(name for name, at in PRIORITY_NUMBERS.items() if at == step)


def queue_key(priority: Priority) -> str:
    """The Redis list that holds the queue's messages of this priority."""
    number = PRIORITY_NUMBERS[priority]
    return f"{QUEUE}{PRIORITY_SEPARATOR}{number}" if number else QUEUE


def payload_key(request_id: str) -> str:
    """The Redis key of a request's audio."""
    return PAYLOAD_KEY_PREFIX + request_id


def result_key(request_id: str) -> str:
    """The Redis key, and the channel, of a request's result."""
    return RESULT_KEY_PREFIX + request_id


def cancel_key(request_id: str) -> str:
    """The Redis key that says that a request is cancelled: its worker looks before it starts."""
    return CANCEL_KEY_PREFIX + request_id
