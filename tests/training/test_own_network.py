"""A network of the user's own: named, checked, trained, loaded, and refused with a sentence where it cannot be."""

import json

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hackmatrix_core as hm
from hackmatrix_core.agent.own_network import check, from_name, name_of
from hackmatrix_core.cli import make_parser, train
from hackmatrix_core.errors import CheckpointError, NetworkError, UsageError
from hackmatrix_core.training.loading import stored_params
from hackmatrix_core.training.tuning import estimate_memory
from tests.training import own_networks
from tests.training import probe_environments as probes
from tests.training.own_networks import Needy, Perceiving, Small

HERE = own_networks.__name__
PROBE = probes.TwoStepCredit()
SIZES = {"num_envs": 4, "num_steps": 4, "num_minibatches": 2, "update_epochs": 1}


def config_of(updates: int, **changes) -> hm.TrainConfig:
    return hm.TrainConfig(**SIZES | changes, total_timesteps=16 * updates)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two runs of the game, and their networks."""
    folder = tmp_path_factory.mktemp("runs")
    networks = {"plain": Small(sizes=(8, 4)), "perceiving": Perceiving()}
    for name, network in networks.items():
        hm.Trainer(config_of(2), folder / name, callbacks=[], network=network).run()
    return {name: (folder / name, network) for name, network in networks.items()}


@pytest.mark.parametrize(
    ("network", "name"),
    [
        (Small(), "Small(num_actions=28, sizes=(8,))"),
        (Small(sizes=(64, 32), num_actions=3), "Small(num_actions=3, sizes=(64, 32))"),
        (Perceiving(5), "Perceiving(width=5)"),
        (Needy(width=4), "Needy(width=4)"),
    ],
)
def test_a_name_leads_back_to_the_network(network, name):
    assert name_of(network) == f"{HERE}:{name}"
    assert from_name(name_of(network)) == network


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("my_module.MyNetwork", r"network is 'my_module\.MyNetwork', expected a name as in my_module:MyNetwork"),
        (
            "no_module:MyNetwork",
            r"network no_module:MyNetwork cannot be imported: .*No module named 'no_module'.*network=",
        ),
        (f"{HERE}:Smal", r"own_networks:Smal cannot be imported: AttributeError: .*'Smal'.*network="),
        (f"{HERE}:f.<locals>.Small", r"own_networks:f\.<locals>\.Small cannot be imported"),
        (f"{HERE}:Small(size=3)", r"cannot be made from its name: TypeError: .*unexpected keyword argument 'size'"),
        (
            f"{HERE}:Needy",
            r"cannot be made from its name: TypeError: .*missing 1 required .*'width'.*MyNetwork\(width=64\)",
        ),
        (f"{HERE}:Small(sizes=(8,)", r"cannot be made from its name: SyntaxError"),
        (name_of(Small(activation=nn.tanh)), r"Small\(.*activation=<jax.*tanh>\) cannot be made from its name"),
        (f"{HERE}:NOT_A_MODULE(a=1)", r"network .*NOT_A_MODULE\(a=1\) is no flax\.linen\.Module"),
    ],
)
def test_what_cannot_be_imported_is_named(name, message):
    with pytest.raises(NetworkError, match=message):
        from_name(name)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        ("my_module:MyNetwork", r"network is 'my_module:MyNetwork', expected a flax\.linen\.Module"),
        (own_networks.Heads, r"expected a flax\.linen\.Module that was made: Heads\(\)"),
        (own_networks.Listed([8]), "network Listed has a list, dict or array as a field. Use tuples"),
        (own_networks.LogitsOnly(), r"LogitsOnly returns float32 \(3, 28\), expected two arrays: logits and values"),
        (own_networks.TooFewLogits(), r"returns float32 \(3, 27\) as logits of 3 .*, expected float32 \(3, 28\)$"),
        (own_networks.ColumnOfValues(), r"float32 \(3, 1\) as values .* float32 \(3,\)\. Leave .* values\[\.\.\., 0\]"),
        (own_networks.HalfLogits(), r"returns bfloat16 \(3, 28\) as logits of 3 .*, expected float32 \(3, 28\)$"),
        (own_networks.HalfParameters(), r"bfloat16 \(28,\) as parameter Dense_0/bias, expected a float32 array"),
        (own_networks.WholeParameters(), r"int32 \(\) as parameter count, expected a float32 array"),
        (own_networks.PairOfParameters(), r"has a tuple as parameter scales, expected a float32 array"),
        (own_networks.BoxedParameters(), r"has a Partitioned as parameter Dense_0/kernel, expected a float32 array"),
        (own_networks.NoParameters(), r"network NoParameters has no parameters"),
        (own_networks.Statistics(), r"has variables in batch_stats, .* LayerNorm in place of BatchNorm"),
        (own_networks.Dropping(), r"Dropping cannot take \(3, 1545\) .*: .*needs PRNG for \"dropout\".*without random"),
        (own_networks.OneBatchOnly(), r"OneBatchOnly cannot take \(3, 1545\) observations"),
        (own_networks.MoreArguments(), r"cannot be initialised with \(1, 1545\) .*: .*'is_training'.*other arguments"),
        (own_networks.Failing(), r"Failing cannot be initialised .*: RuntimeError: no such thing\. It is called"),
    ],
)  # fmt: skip
def test_what_cannot_be_trained_is_named(network, message):
    with pytest.raises(NetworkError, match=message):
        check(network, 1545, 28)


def test_they_are_named_before_training(tmp_path):
    for begin in (
        lambda: hm.make_train(config_of(1), network=own_networks.ColumnOfValues()),
        lambda: hm.Trainer(config_of(1), tmp_path / "run", network=own_networks.ColumnOfValues()),
        lambda: hm.Trainer(config_of(1, network=f"{HERE}:ColumnOfValues"), tmp_path / "run"),
    ):
        with pytest.raises(ValueError, match=r"float32 \(3, 1\) as values"):
            begin()
    assert not (tmp_path / "run").exists()
    with pytest.raises(
        ValueError, match=r"network is a Small, expected a name .*hm\.Trainer or hm\.make_train, as network="
    ):
        hm.TrainConfig(network=Small())


def test_a_run_keeps_its_network(runs):
    for run, network in runs.values():
        assert json.loads((run / "config.json").read_text())["network"] == name_of(network)
        policy = hm.load_policy(run)
        assert policy.network == network
        observations = jnp.zeros((2, 3, 1545), jnp.float32)
        evaluate = jax.jit(policy.evaluate)
        logits, values = evaluate(observations)
        assert (logits.shape, values.shape) == ((2, 3, 28), (2, 3))
        np.testing.assert_allclose(evaluate(observations[0, 0])[0], logits[0, 0], rtol=1e-5, atol=1e-6)


def test_search_evaluation_and_replay_take_it(runs):
    plain, perceiving = (hm.load_policy(run) for run, _ in runs.values())
    assert hm.evaluate(hm.SearchPolicy(perceiving, 2), jax.random.key(0), num_games=2).length.shape == (2,)
    episode = hm.record(plain, jax.random.key(0), max_actions=2)
    assert np.isfinite(episode.values).all()
    assert "<svg" in hm.replay(episode).page


def test_a_network_that_cannot_be_imported_may_be_given(runs, monkeypatch):
    run, network = runs["plain"]
    monkeypatch.delattr(own_networks, "Small")
    with pytest.raises(NetworkError, match=r"own_networks:Small cannot be imported: .*, or pass .* as network="):
        hm.load_policy(run)
    assert hm.load_policy(run, network=network).network == network
    with pytest.raises(
        CheckpointError, match=r"\['Dense_0'\]\['kernel'\] is float32\[1545, 9\], stored is .*\[1545, 8\]"
    ):
        hm.load_policy(run, network=Small(sizes=(9, 4)))
    with pytest.raises(NetworkError, match=r"made: Small\(\)"):
        hm.load_policy(run, network=Small)


def test_resume_with_another_network_is_refused(tmp_path):
    def trainer(network, run="run", name=None, **options):
        return hm.Trainer(config_of(2, network=name), tmp_path / run, PROBE, [], network=network, **options)

    first = trainer(Small(num_actions=2)).run()
    for network in (Small(num_actions=2, sizes=(4,)), None):
        with pytest.raises(
            CheckpointError, match=r"different config: network is .*, stored is .*:Small\(num_actions=2, "
        ):
            trainer(network, resume=True).run()
    assert trainer(None, name=f"{HERE}:Small(num_actions=2)", resume=True).run().history == first.history
    next_run = trainer(Small(num_actions=2), "next", start_from=jax.device_get(first.runner.params)).run()
    assert next_run.history[0]["value_loss"] < first.history[0]["value_loss"]
    with pytest.raises(CheckpointError, match=r"stored network has another shape: .*or network, to those of its run"):
        trainer(Small(num_actions=2, sizes=(9,)), "other", start_from=first.runner.params).run()


def test_a_sweep_takes_it_by_its_name(tmp_path):
    config = config_of(1, network=f"{HERE}:Small(num_actions=2)")
    sweep = hm.Sweep(config, {"gamma": [0.5, 0.9]}, run_dir=tmp_path, env=PROBE, callbacks=[])
    result = sweep.run()
    for member in result.plan:
        params, about = stored_params(result.folder(member))
        assert params["params"]["Dense_0"]["kernel"].shape[1] == 8
        assert about["config"]["network"] == f"{HERE}:Small(num_actions=2, sizes=(8,))"
    with pytest.raises(ValueError, match="'network' cannot be varied"):
        hm.Sweep(config, {"network": "1,2"}, run_dir=tmp_path / "other")


def test_a_run_that_starts_from_it_has_its_network(runs):
    run, network = runs["plain"]
    given = make_parser().parse_args(["train", "--from", str(run), "--preset", "plan"])
    config = train.chosen_config(given, stored_params(run)[1])
    assert config == hm.TrainConfig(network=name_of(network))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--network", "no_module:Net"], "network no_module:Net cannot be imported"),
        (["--network", f"{HERE}:ColumnOfValues"], r"float32 \(3, 1\) as values"),
        (
            ["--network", f"{HERE}:Small", "--hidden-dim", "8"],
            "--hidden-dim is for the package's network, not for .*Small",
        ),
    ],
)
def test_the_command_names_what_is_wrong(options, message):
    given = make_parser().parse_args(["train", "--preset", "plan", *options])
    with pytest.raises(UsageError, match=message):
        train.chosen_config(given, {})


@pytest.mark.parametrize("changes", [{}, {"hidden_dim": 128, "cell_dim": 8}, {"hidden_dim": 1024, "num_layers": 4}])
def test_memory_is_estimated_from_what_the_network_computes(changes):
    """Near what is known of the package's own."""
    config = hm.TrainConfig(**changes)
    network = hm.ActorCritic(28, config.hidden_dim, config.num_layers, config.cell_dim)
    ratio = estimate_memory(hm.TrainConfig(network=name_of(network))) / estimate_memory(config)
    assert 0.9 < ratio < 2
