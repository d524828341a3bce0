"""The two loops of mctx through a tree, written so that a simulation costs by the depth of the tree, not by its size.

mctx writes both for one tree, and `jax.vmap` makes many of it. Under that, the walk back from a leaf copies all that it
carries at each of its steps, for the games that are at their root: the values and visits of every action of every node.
And each step of the way down chooses as at the root and as below it, and takes one of the two. Here the walk back
carries two numbers a node, and the root has its step of its own. The results are the same bits.
"""

import contextlib
import functools
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from mctx._src import search as mctx_search

from hackmatrix_core.game.vectorization.batching import batched

_ROOT = 0
_UNVISITED = -1


@contextlib.contextmanager
def fast_loops() -> Iterator[None]:
    """A context in which what is traced of mctx has the loops of this module in the place of its own."""
    own = mctx_search.simulate, mctx_search.backward
    mctx_search.simulate, mctx_search.backward = _simulate, jax.vmap(_backward)
    try:
        yield
    finally:
        mctx_search.simulate, mctx_search.backward = own


def _simulate(
    keys: jax.Array, tree: Any, select: Callable[..., jax.Array], _max_depth: int
) -> tuple[jax.Array, jax.Array]:
    """The nodes and the actions there that are to be looked at next: (G,) each, as `mctx._src.search.simulate`."""

    def down_one(key: jax.Array, tree: Any) -> tuple[jax.Array, jax.Array]:
        def child(node: jax.Array, action: jax.Array) -> jax.Array:
            return tree.children_index[node, action]

        def down(edge: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
            node = child(*edge)
            return node, select(key, tree, node, 1)

        root = jnp.int32(_ROOT)
        return jax.lax.while_loop(lambda edge: child(*edge) != _UNVISITED, down, (root, select(key, tree, root, 0)))

    return jax.vmap(down_one)(keys, tree)


def _backward(tree: Any, leaf: jax.Array) -> Any:
    """The tree of one game with the leaf's value added to all nodes above it, as `mctx._src.search.backward`."""
    edges = tree.parents, tree.action_from_parent, tree.children_rewards, tree.children_discounts
    values, visits = _walk(tree.node_values, tree.node_visits, edges, leaf)
    # What is known of a child is what is known of the edge to it; the root has none.
    edge = jnp.where(tree.parents < 0, len(tree.parents), tree.parents), tree.action_from_parent
    return tree.replace(
        node_values=values,
        node_visits=visits,
        children_values=tree.children_values.at[edge].set(values, mode="drop"),
        children_visits=tree.children_visits.at[edge].set(visits, mode="drop"),
    )


@functools.partial(batched, games_last=False, in_blocks=False)
def _walk(values: jax.Array, visits: jax.Array, edges: Any, leaf: jax.Array) -> tuple[jax.Array, jax.Array]:
    """The values and visits of the nodes of G trees, (G, nodes), after the walk back from their leaves, (G,)."""
    parents, actions, rewards, discounts = edges
    games, nodes = (np.arange(size, dtype=np.int32) for size in parents.shape)

    def is_below_a_root(carry: Any) -> jax.Array:
        return jnp.any(carry[3] != _ROOT)

    def up(carry: Any) -> Any:
        values, visits, value, node = carry
        parent, action = parents[games, node], actions[games, node]
        value = rewards[games, parent, action] + discounts[games, parent, action] * value
        count = visits[games, parent].astype(value.dtype)
        mean = (values[games, parent] * count + value) / (count + 1)
        changes = (nodes[None] == parent[:, None]) & (node != _ROOT)[:, None]
        values = jnp.where(changes, mean[:, None], values)
        return values, visits + changes.astype(visits.dtype), value, jnp.where(node == _ROOT, _ROOT, parent)

    values, visits, _, _ = jax.lax.while_loop(is_below_a_root, up, (values, visits, values[games, leaf], leaf))
    return values, visits
