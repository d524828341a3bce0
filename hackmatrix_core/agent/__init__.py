"""What plays: what a network perceives, the network, policies, the two baselines and the pretrained agents."""

from hackmatrix_core.agent import baselines

__all__ = ["baselines"]
