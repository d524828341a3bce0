"""What plays: what a network perceives, the network, policies, the two baselines and the pretrained agents."""
