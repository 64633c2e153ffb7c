"""`segue demo`: the whole product on one machine, for a minute, with figures."""
