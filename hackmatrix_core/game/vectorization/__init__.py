"""What makes the rules fast: the same rules for thousands of games at once.

The rules beside this folder are written for a batch whose axis is the last of every array. These tools let them be
called for one game, and keep the work, the memory and the compile time small:

- `batching`: `batched` makes a rule on N games a function of one game that `jax.vmap` turns back into the batch form;
  `uninlined` computes a value once, where XLA for the CPU would compute it again for each of its uses.
- `sparse`: `apply_where` does for a few games of a batch what the others do not need in a step (a siphon, a new stage).
- `rows`: all arrays of a pytree as the rows of one, so that one copy moves them all.
- `reductions`: sums and maxima over 36 cells or all games in as few kernels as possible.
- `backend`: what the platform that is compiled for prefers, and options for its compiler.

Nothing here knows the game.
"""
