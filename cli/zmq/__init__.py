"""`segue zmq`: the predecessor's service for those who speak ZeroMQ, over the same client as everybody's."""
