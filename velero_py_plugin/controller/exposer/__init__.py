"""Makes one volume reachable for one mover, and runs that mover."""
