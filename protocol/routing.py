"""Which task, queue, priority number and keys a request goes to."""

from functools import lru_cache

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
ID_KEY_PREFIX = "segue:id:"
DEATHS_KEY_PREFIX = "segue:deaths:"
DEAD_KEY_PREFIX = "segue:dead:request:"
INFLIGHT_KEY_PREFIX = "segue:inflight:"
CONVERSATION_KEY_PREFIX = "segue:conversation:"

#: How long a conversation that nobody goes on with is remembered, in seconds: a day, as results are.
CONVERSATION_SECONDS = 86_400

#: The leases of living workers: a sorted set of worker ids by when each runs out, in ms on Redis's clock.
LEASES = "segue:leases"

#: What a living worker gets through: a hash of requests per second of a busy engine, by worker id.
RATES = "segue:rates"

#: Workers whose engines are at work: a sorted set of worker ids by when each will probably be free, in ms on
#: Redis's clock. Those that are free are not in it.
BUSY = "segue:busy"

#: What an operator lets wait: a hash with the fields ``requests`` and ``bytes``, each for every priority by
#: itself; written by workers when they start, read when a request is accepted. Missing means no limit.
LIMITS = "segue:limits"

#: Whose audio lies in Redis: a sorted set of ``<priority number>:<bytes>:<request_id>`` by when the audio
#: expires, in ms on Redis's clock; and a hash of the bytes that they sum to, by priority number.
HELD = "segue:held"
HELD_BYTES = "segue:held:bytes"


@lru_cache(maxsize=64)  # asked several times for each message; a sender may give any number
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


def id_key(request_id: str) -> str:
    """The Redis key that says what content an id stands for; outlives the result, for whoever asks late."""
    return ID_KEY_PREFIX + request_id


def deaths_key(request_id: str) -> str:
    """The Redis key that counts how often a request's engine died while it ran alone."""
    return DEATHS_KEY_PREFIX + request_id


def inflight_key(worker_id: str) -> str:
    """The hash that holds a worker's claimed messages by their places, and beside them what runs.

    ``#`` is the number of its last claim, ``running`` the batch that its engine was given last.
    """
    return INFLIGHT_KEY_PREFIX + worker_id


def turn_key(conversation: str) -> str:
    """The Redis key that holds the id of a conversation's only request that may be on a lane or run."""
    return f"{CONVERSATION_KEY_PREFIX}{conversation}:turn"


def waiting_key(conversation: str) -> str:
    """The Redis list of the turns after that one, newest first: ``<lane from 1>:<request_id>:<message>``."""
    return f"{CONVERSATION_KEY_PREFIX}{conversation}:waiting"


def context_key(conversation: str) -> str:
    """The Redis hash of what the next turn's prompt is made of.

    ``text`` is the end of what the turns before have said, ``turns`` how many of them have said something.
    """
    return f"{CONVERSATION_KEY_PREFIX}{conversation}:context"
