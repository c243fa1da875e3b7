"""The gateway: one request in, one list out. Recall → ranking → log, over one release at a time."""
