"""How fast this machine is: the game, training and search, each measured in processes of their own."""
