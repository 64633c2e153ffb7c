"""`segue bench`: what is faster than what on this machine, and what must hold under load."""
