"""How fast this machine is: the environment (`env`) and training (`training`), measured in separate processes."""
