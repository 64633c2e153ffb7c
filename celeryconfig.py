"""What Celery is here, the same for workers, Flower and whoever sends tasks with stock Celery."""

from protocol.routing import DEFAULT_PRIORITY_NUMBER, PRIORITY_STEPS, QUEUE

task_default_queue = QUEUE
task_default_priority = DEFAULT_PRIORITY_NUMBER

# Only data is ever read from a message or a result, never code.
task_serializer = result_serializer = event_serializer = "json"
accept_content = result_accept_content = ["json"]

broker_transport_options = {
    "priority_steps": list(PRIORITY_STEPS),
    # JSON is text already: kombu's default would wrap it in base64 once more.
    "body_encoding": "utf-8",
    "socket_keepalive": True,
    # A connection that takes longer, or a Redis that does not answer, is left for a new one: whoever holds on
    # to a connection that a partition has cut waits for TCP, whose pauses double, long after it has healed.
    "socket_connect_timeout": 1,
    "socket_timeout": 2,
    "health_check_interval": 5,
    # A worker that dies while sweeping would else block all recovery for kombu's default of 300 s.
    "unacked_mutex_expire": 10,
}
broker_connection_retry_on_startup = True
broker_connection_max_retries = None
# A refusal (no disk, no replica, a read-only one) is a state of Redis that passes, not the worker's end.
broker_channel_error_retry = True

redis_socket_timeout = 2
redis_socket_connect_timeout = 1
redis_backend_health_check_interval = 5
result_backend_always_retry = True
result_backend_max_retries = 5

# A message is acknowledged together with its result; a lost engine process puts it back.
task_acks_late = True
task_reject_on_worker_lost = True
worker_cancel_long_running_tasks_on_connection_loss = False
worker_enable_prefetch_count_reduction = False
worker_eta_task_limit = 1_000

# One engine process, and Flower sees every request.
worker_pool = "workers.pool:EnginePool"
worker_concurrency = 1
worker_send_task_events = True
worker_hijack_root_logger = True
worker_log_format = "%(asctime)s %(levelname)s %(name)s: %(message)s"
