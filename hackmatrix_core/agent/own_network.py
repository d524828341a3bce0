"""Networks of the user's own: the name by which a config keeps one, and what is checked before it is trained.

A network is a `flax.linen.Module` that maps a batch of observations, float32 (N, D), to logits, float32
(N, num_actions), and values, float32 (N,). If it has `takes_percept = True`, it is given their `Percept` instead. It is
called as `network.apply(params, inputs)`, with float32 parameters and without random numbers.
"""

import ast
import dataclasses
import importlib
import operator
import re
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from flax.traverse_util import flatten_dict

from hackmatrix_core.agent.network import network_input
from hackmatrix_core.errors import NetworkError, shown


def name_of(network: nn.Module) -> str:
    """The import path and the fields of a network, as in `my_module:MyNetwork(width=64)`.

    Fields that are not numbers, texts, tuples and the like are in it as `<what they are>`, unless they have their
    default; `from_name` cannot read those.
    """
    fields = []
    for field in dataclasses.fields(network):
        value = getattr(network, field.name)
        if field.name in ("parent", "name") or not (_is_literal(value) or value is not field.default):
            continue
        where = value if hasattr(value, "__qualname__") else type(value)
        fields.append(f"{field.name}={value!r}" if _is_literal(value) else f"{field.name}=<{_path(where)}>")
    return f"{_path(type(network))}({', '.join(fields)})"


def from_name(name: str) -> nn.Module:
    """The network of such a name; fields that the name leaves out have their default.

    Raises:
        NetworkError: it cannot be imported or made.
    """
    parts = re.fullmatch(r"([\w.]+):([\w.<>]+)(?:\((.*)\))?", name, re.S)
    if not parts:
        raise NetworkError(f"network is {shown(name)}, expected a name as in my_module:MyNetwork")
    module, path, fields = parts.groups()
    instead = f"Start where {module} can be imported, or pass the network itself as network="
    try:
        kind = operator.attrgetter(path)(importlib.import_module(module))
    except Exception as error:  # whatever the module does when it is imported
        raise NetworkError(f"network {module}:{path} cannot be imported: {_reason(error)}. {instead}") from error
    try:
        call: Any = ast.parse(f"dict({fields or ''})", mode="eval").body
        given = [ast.literal_eval(value) for value in call.args]
        network = kind(*given, **{keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords})
    except Exception as error:
        raise NetworkError(
            f"network {name} cannot be made from its name: {_reason(error)}. Its fields have to be numbers, "
            "texts or tuples, as in my_module:MyNetwork(width=64); or pass the network itself as network="
        ) from error
    if not isinstance(network, nn.Module):
        raise NetworkError(f"network {name} is no flax.linen.Module")
    return network


def check(network: nn.Module, size: int, num_actions: int) -> Any:
    """The shapes of the parameters of a network that can be trained.

    Args:
        network: what the user gave.
        size: numbers of an observation.
        num_actions: of the environment.

    Raises:
        NetworkError: it cannot be trained; the message says what is wrong.
    """
    if not isinstance(network, nn.Module):
        hint = f": {network.__name__}()" if isinstance(network, type) else ""
        raise NetworkError(f"network is {shown(network)}, expected a flax.linen.Module that was made{hint}")
    name = type(network).__name__
    try:
        hash(network)
    except TypeError as error:
        raise NetworkError(f"network {name} has a list, dict or array as a field. Use tuples") from error

    def traced(what: str, function: Any, *arguments: Any) -> Any:
        try:
            return jax.eval_shape(function, *arguments)
        except Exception as error:  # of the user's own code
            raise NetworkError(
                f"network {name} cannot {what}: {_reason(error)}. It is called as network.apply(params, inputs), "
                "without random numbers, variables that change or other arguments"
            ) from error

    perceived = " as a Percept" if getattr(network, "takes_percept", False) else ""
    what, one = f"be initialised with (1, {size}) observations{perceived}", _inputs(network, 1, size)
    variables = traced(what, network.init, jax.random.key(0), one)
    if others := sorted(set(variables) - {"params"}):
        raise NetworkError(
            f"network {name} has variables in {', '.join(others)}, and training changes only those in params. Use "
            "layers without them, as LayerNorm in place of BatchNorm"
        )
    if not jax.tree.leaves(variables):
        raise NetworkError(f"network {name} has no parameters, so there is nothing to train")
    for path, leaf in flatten_dict(variables["params"], sep="/").items():
        if not isinstance(leaf, jax.ShapeDtypeStruct) or leaf.dtype != jnp.float32:
            raise NetworkError(f"network {name} has {_kind(leaf)} as parameter {path}, expected a float32 array")
    three = _inputs(network, 3, size)
    outputs = traced(f"take (3, {size}) observations{perceived}", network.apply, variables, three)
    if not isinstance(outputs, tuple | list) or len(outputs) != 2:
        raise NetworkError(f"network {name} returns {_kind(outputs)}, expected two arrays: logits and values")
    for what, output, shape in zip(("logits", "values"), outputs, ((3, num_actions), (3,)), strict=True):
        if getattr(output, "dtype", None) != jnp.float32 or output.shape != shape:
            hint = ". Leave out the last axis, as in values[..., 0]" if _kind(output) == "float32 (3, 1)" else ""
            raise NetworkError(
                f"network {name} returns {_kind(output)} as {what} of 3 observations, expected float32 {shape}{hint}"
            )
    return variables


def numbers_in(network: nn.Module, size: int, num_actions: int) -> tuple[int, int]:
    """How many numbers the parameters have, and how many are computed for one observation; arguments as for `check`."""

    def computed(jaxpr: Any) -> int:
        count = 0
        for equation in jaxpr.eqns:
            count += sum(variable.aval.size for variable in equation.outvars)
            for value in equation.params.values():
                inner = getattr(value, "jaxpr", value)
                count += computed(inner) if hasattr(inner, "eqns") else 0
        return count

    def traced(count: int) -> int:
        return computed(jax.make_jaxpr(network.apply)(variables, _inputs(network, count, size)).jaxpr)

    variables = check(network, size, num_actions)
    return sum(leaf.size for leaf in jax.tree.leaves(variables)), traced(2) - traced(1)


def _inputs(network: nn.Module, count: int, size: int) -> Any:
    """The shapes of what a network is given for so many observations."""
    observations = jax.ShapeDtypeStruct((count, size), jnp.float32)
    return jax.eval_shape(lambda x: network_input(network, x), observations)


def _is_literal(value: Any) -> bool:
    try:
        return bool(ast.literal_eval(repr(value)) == value)
    except Exception:
        return False


def _path(thing: Any) -> str:
    return f"{thing.__module__}:{thing.__qualname__}"


def _kind(value: Any) -> str:
    """What an output or a parameter is, in words."""
    return f"{value.dtype} {value.shape}" if hasattr(value, "dtype") else f"a {type(value).__name__}"


def _reason(error: Exception) -> str:
    text = str(error).partition("\n")[0].rstrip(".")
    return f"{type(error).__name__}: {text}"[:300]
