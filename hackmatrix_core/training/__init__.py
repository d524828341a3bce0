"""What learns: the settings of a run, masked PPO, the run with its devices, checkpoints, metrics and displays."""
