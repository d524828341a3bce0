"""What the notebooks share: the folder of a run, the config for the device, and how waiting, tables and charts look."""

import asyncio
import dataclasses
import json
import os
import queue
import re
import sys
import types
import warnings
import zipfile
from pathlib import Path

import jax
import numpy as np
import pytest
import zmq
from jupyter_client.session import Session as Messages

import hackmatrix_core as hm
from hackmatrix_core import notebook
from hackmatrix_core.errors import UserError
from hackmatrix_core.notebook import settings, training
from hackmatrix_core.notebook.settings import NotebookStop
from hackmatrix_core.playing.session import Session
from hackmatrix_core.training import compilation
from hackmatrix_core.training.config import TrainConfig
from hackmatrix_core.training.tuning import DeviceConfig
from hackmatrix_core.viewing import waiting
from hackmatrix_core.viewing.tables import Table


@pytest.fixture
def whole(monkeypatch):
    monkeypatch.setattr(settings, "SMOKE", False)
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)


def save(run_dir, config, update):
    """As much of a run as the settings cell looks at."""
    (run_dir / "checkpoints" / str(update)).mkdir(parents=True)
    (run_dir / "config.json").write_text(json.dumps(config.to_dict()))


def on(monkeypatch, platform, memory):
    monkeypatch.setattr(settings, "get_device_config", lambda: DeviceConfig(platform, "a device", 1, memory << 30))


def test_runs_are_kept_beside_the_notebook(whole, capsys):
    assert str(notebook.start()) == "runs"
    assert str(notebook.start(drive=True)) == "runs"
    assert capsys.readouterr().out.count("JAX") == 2


def test_on_colab_runs_are_kept_on_drive_if_asked_and_a_refusal_is_one_sentence(whole, monkeypatch, capsys):
    """Google's package stands in: it is nowhere but on Colab."""
    mounted, caches = [], []
    monkeypatch.setattr(settings, "keep_compiled_programs", caches.append)
    drive = types.ModuleType("google.colab.drive")
    drive.mount = mounted.append
    monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    monkeypatch.setitem(sys.modules, "google.colab.drive", drive)
    assert str(notebook.start()) == "runs"
    assert mounted == []
    assert str(notebook.start(drive=True)) == "/content/drive/MyDrive/hackmatrix/runs"
    assert mounted == ["/content/drive"]
    assert caches == [None, Path("/content/drive/MyDrive/hackmatrix/compiled")]

    def refused(path):
        raise RuntimeError("Error: credential propagation was unsuccessful")

    drive.mount = refused
    capsys.readouterr()
    assert str(notebook.start(drive=True)) == "runs"
    told = capsys.readouterr().out.splitlines()
    assert told[:-1] == [
        "Google Drive is not connected: runs are kept on this machine's disk, which Colab deletes with it."
    ]
    assert caches[-1] is None


def test_what_is_compiled_is_kept_on_the_drive_and_the_oldest_of_too_much_goes(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(compilation, "_MOST_ON_A_DRIVE", 2_500_000)
    (tmp_path / "kernels").mkdir()
    for age, name in enumerate(["new", "kernels/newer than old", "old", "older"]):
        (tmp_path / name).write_bytes(bytes(1_000_000))
        os.utime(tmp_path / name, (0, 1e9 - age))
    before = jax.config.jax_compilation_cache_dir
    jax.config.update("jax_compilation_cache_dir", None)
    try:
        compilation.keep_compiled_programs(tmp_path)
        assert jax.config.jax_compilation_cache_dir == str(tmp_path)
        compilation.keep_compiled_programs()
        assert jax.config.jax_compilation_cache_dir == str(tmp_path)
    finally:
        jax.config.update("jax_compilation_cache_dir", before)
    assert capsys.readouterr().out == f"Compiled programs are kept in {tmp_path}: 2 MB so far.\n"
    assert {file.name for file in tmp_path.rglob("*")} == {"new", "kernels", "newer than old"}


def test_a_warning_shows_no_line_of_our_code(whole):
    notebook.start()
    assert warnings.formatwarning(RuntimeWarning("beware"), RuntimeWarning, __file__, 1) == "RuntimeWarning: beware\n"


@pytest.mark.parametrize(
    ("mistake", "message"),
    [
        ({"minutes": 0}, "minutes is 0, expected a number above 0"),
        ({"minutes": -3.0}, "minutes is -3.0, expected a number above 0"),
        ({"minutes": "3"}, "minutes is '3', expected a number above 0"),
        ({"minutes": True}, "minutes is True, expected a number above 0"),
        ({"minutes": float("nan")}, "minutes is nan, expected a number above 0"),
        ({"minutes": float("inf")}, "minutes is inf, expected a number above 0"),
        ({"seed": 1.5}, "seed is 1.5, expected an integer of at least 0 and at most 4294967295"),
        ({"seed": "one"}, "seed is 'one', expected an integer"),
        ({"uniform_coef": -1}, "uniform_coef is -1, expected a number of at least 0 (weight of the divergence"),
        ({"gamma": 1}, "gamma is 1.0 and gamma_to 0.997"),
        ({"ent_coeff": 0.1}, "unknown config field ent_coeff; the fields are "),
        ({"start_from": "pretraned"}, "pretraned does not exist. Give the directory of a training run, or pretrained"),
    ],
)
def test_typing_mistakes_in_the_settings_get_a_sentence(whole, tmp_path, mistake, message):
    mistake = dict(mistake)
    minutes = mistake.pop("minutes", 3.0)
    with pytest.raises(UserError, match=re.escape(message)) as stopped:
        notebook.doctor(notebook.config_for("cpu", **mistake), tmp_path, minutes)
    assert stopped.value._render_traceback_() == [str(stopped.value)]  # what IPython shows: no traceback
    assert "The default" not in str(stopped.value)


def test_other_mistakes_get_a_sentence_too(whole, tmp_path):
    assert notebook.run_directory(TrainConfig.preset("cpu"), 7, tmp_path) == tmp_path / "7"
    with pytest.raises(UserError, match="pretraned does not exist"):
        hm.load_policy("pretraned")
    assert notebook.run_directory(TrainConfig.preset("cpu"), None, tmp_path) == tmp_path / "cpu"
    for seed in (-1, "x", 1.5):
        with pytest.raises(UserError, match=f"the seed is {seed!r}, expected a number from 0"):
            Session(seed)
    for sizes, repeats in (([0], 1), ([], 1), (["8"], 1), ([8], 0)):
        with pytest.raises(NotebookStop, match="expected whole numbers of at least 1"):
            notebook.measure_env(sizes, repeats)
    with pytest.raises(UserError, match=r"3 does not exist\. Give the directory of a training run"):
        notebook.config_for("cpu", start_from=3)
    with pytest.raises(NotebookStop, match="minutes is 0, expected a number above 0"):
        asyncio.run(notebook.train(TrainConfig.preset("cpu"), tmp_path, minutes=0))
    with pytest.raises(NotebookStop):
        notebook.with_and_without_search(hm.baselines.random, 8)


def test_a_run_that_starts_from_an_agent_has_its_sizes_and_a_folder_of_its_own(whole, monkeypatch, tmp_path):
    on(monkeypatch, "gpu", 15)
    config = notebook.config_for("t4", "pretrained", seed=1)
    assert (config.hidden_dim, config.cell_dim) == (512, 16)
    folder = notebook.run_directory(config, "", tmp_path, "pretrained")
    assert folder == tmp_path / "t4-hidden_dim=512-seed=1-from=pretrained"
    assert notebook.run_directory(config, "", tmp_path, "runs/mine").name.endswith("-from=mine")


def test_a_run_is_packed_to_be_taken_home(monkeypatch, tmp_path, capsys):
    run_dir = tmp_path / "runs" / "cpu"
    save(run_dir, TrainConfig(), 3)
    monkeypatch.chdir(tmp_path)
    sent = []
    files = types.ModuleType("google.colab.files")
    files.download = sent.append
    monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    monkeypatch.setitem(sys.modules, "google.colab.files", files)
    notebook.take_home(run_dir)
    assert sent == []
    assert capsys.readouterr().out.startswith("runs/cpu.zip: 0.0 MB")
    with zipfile.ZipFile(tmp_path / "runs" / "cpu.zip") as packed:
        assert {"cpu/config.json", "cpu/checkpoints/3/"} <= set(packed.namelist())
    notebook.take_home(run_dir, download=True)
    assert sent == [str(tmp_path / "runs" / "cpu.zip")]


def test_config_of_another_device_is_replaced_with_a_message(whole, capsys):
    assert notebook.config_for("cpu", seed=4) == TrainConfig.preset("cpu", seed=4)
    assert " found, only " not in capsys.readouterr().out
    config = notebook.config_for("t4", ent_coef=0.07)
    assert config == TrainConfig.preset("cpu", ent_coef=0.07)
    told = capsys.readouterr().out
    assert "No T4 GPU found" in told
    assert f"{config.num_envs} environments" in told
    assert notebook.config_for("cpu", num_envs=128).num_envs == 128  # fewer, for want of memory
    with pytest.raises(NotebookStop, match="ent_coef is -1"):
        notebook.config_for("t4", ent_coef=-1)


def test_settings_name_the_folder_of_their_run(whole, monkeypatch, tmp_path, capsys):
    on(monkeypatch, "cpu", 16)
    config = TrainConfig.preset("cpu")
    folder = notebook.run_directory
    assert folder(config, " mine ", tmp_path) == tmp_path / "mine"
    assert folder(config, "", tmp_path) == tmp_path / "cpu"
    other = dataclasses.replace(config, seed=1, uniform_coef=0.0)
    assert folder(other, "", tmp_path) == tmp_path / "cpu-uniform_coef=0-seed=1"
    longest = [folder(dataclasses.replace(config, seed=seed), "", tmp_path) for seed in (2**32 - 1, 2**32 - 2)]
    assert longest == [tmp_path / "cpu-seed=4294967295", tmp_path / "cpu-seed=4294967294"]
    # A longer run is the same run.
    assert folder(dataclasses.replace(other, total_timesteps=10**9), "", tmp_path) == folder(other, "", tmp_path)
    assert capsys.readouterr().out == ""

    save(tmp_path / "t4", TrainConfig.preset("t4"), 5)
    assert folder(config, "", tmp_path) == tmp_path / "cpu"
    assert "Your run t4 stays as it is: it began on another device (T4 GPU)" in capsys.readouterr().out
    on(monkeypatch, "gpu", 15)
    assert folder(TrainConfig.preset("t4"), "", tmp_path) == tmp_path / "t4"
    assert capsys.readouterr().out == ""


def test_doctor_tells_device_sizes_and_whether_a_run_goes_on(whole, tmp_path):
    config, run_dir = TrainConfig.preset("cpu"), tmp_path / "runs" / "mine"

    def told():
        return dict(line.split(maxsplit=1) for line in notebook.doctor(config, run_dir).splitlines()[1:])

    first = told()
    assert "× cpu" in first["device"]
    assert first["update"] == "256 games side by side × 16 steps = 4,096 steps"
    assert first["run"].endswith("mine is new")
    assert first["disk"].endswith(" GiB free")
    assert f"ent_coef={config.ent_coef}" in first["config"]
    for update in (8, 12):
        save(run_dir, config, update)
    (run_dir / "checkpoints/13.orbax-checkpoint-tmp").mkdir()
    assert told()["run"].endswith("mine continues after update 12")


def test_settings_that_do_not_fit_the_run_stop_with_a_sentence(whole, tmp_path):
    """The first experiment of everybody: another seed, another coefficient."""
    config = TrainConfig.preset("cpu")
    save(tmp_path, config, 3)
    notebook.doctor(dataclasses.replace(config, total_timesteps=10**9), tmp_path)
    other = dataclasses.replace(config, seed=1, ent_coef=0.5)
    with pytest.raises(
        NotebookStop, match=r"began with ent_coef = 0\.02, not 0\.5 and seed = 0, not 1\. Set them back"
    ):
        notebook.doctor(other, tmp_path)
    with pytest.raises(NotebookStop, match=r"Sizes differ between devices: .* Change runtime type") as stopped:
        notebook.doctor(TrainConfig.preset("t4"), tmp_path)
    assert stopped.value._render_traceback_() == [str(stopped.value)]  # what IPython shows: no traceback


def test_smoke_size_is_small_and_leaves_nothing_behind(monkeypatch):
    monkeypatch.setattr(settings, "SMOKE", True)
    runs = notebook.start()
    config = notebook.config_for("tpu", seed=2)
    assert config.total_timesteps == 1024
    assert notebook.run_directory(config, "", runs) == runs / "cpu"
    assert not list(runs.iterdir())


def test_runs_are_laid_over_each_other(tmp_path, capsys):
    for name, values in {"one": [1, 2, 3], "two": [2, None, 5]}.items():
        (tmp_path / name).mkdir()
        lines = [
            {"update": i, "steps": 10 * i, "episode_return": value, "relative_entropy": 0.5, "share_siphon": i / 10}
            for i, value in enumerate(values, 1)
        ]
        (tmp_path / name / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    _, returns, _, siphons = notebook.compare_runs(tmp_path).axes
    assert [line.get_label() for line in returns.lines] == ["one", "two"]
    np.testing.assert_allclose(returns.lines[1].get_xydata(), [[10, 2], [30, 5]])
    assert len(siphons.lines[1].get_xdata()) == 3
    (tmp_path / "three").mkdir()
    (tmp_path / "three" / "metrics.jsonl").touch()  # stopped before its first update
    assert len(notebook.compare_runs(tmp_path, tmp_path / "gone").axes[0].lines) == 2
    newer = tmp_path / "copies" / "two" / "metrics.jsonl"  # of a run whose folder could not be written to any more
    newer.parent.mkdir(parents=True)
    newer.write_text("".join(json.dumps({"update": i, "steps": 10 * i, "share_siphon": 0.1}) + "\n" for i in range(9)))
    assert len(notebook.compare_runs(tmp_path, newer.parents[1]).axes[3].lines[1].get_xdata()) == 9
    assert capsys.readouterr().out == ""
    assert notebook.compare_runs(tmp_path / "nothing") is None
    assert capsys.readouterr().out == "No run has learned anything yet: run Train again.\n"


def test_a_hard_choice_and_a_slip_are_found(monkeypatch):
    """Of three actions the second is undecided; in the third the network's favourite is worth least."""
    seen = []
    monkeypatch.setattr(notebook.lessons, "_show", lambda episode, time, *rest: seen.append((time, rest[1])))
    masks, chances = np.zeros((2, 3, 28), bool), np.zeros((3, 28), np.float32)
    masks[:, :, :2] = True
    chances[:, 0], chances[:, 1] = [0.9, 0.5, 0.9], [0.1, 0.5, 0.1]
    worth = np.zeros((3, 28), np.float32)
    worth[2, :2] = -1, 4
    visits = np.where(masks[0], 1, 0)
    episode = hm.Episode(None, np.array([0, 0, 1]), masks[0], None, chances, np.arange(3.0))
    notebook.show_hardest_choice(episode)
    thoughts = types.SimpleNamespace(network_policy=chances, policy=chances, visits=visits, action_values=worth)
    notebook.show_worst_slip(dataclasses.replace(episode, thoughts=thoughts))
    assert seen == [(1, "value of the position +1.00"), (2, "the network would have chosen up")]


def test_a_line_tells_how_far_it_is(monkeypatch):
    now = 0.0
    monkeypatch.setattr("rich.console.monotonic", lambda: now)
    with waiting.Waiting("playing", "compiling first") as line:
        now = 3.0
        assert re.fullmatch(r"playing · compiling first ━+ 0/\? 0:00:03", line.text())
        now = 10.0
        line.reached(5, 25)
        assert re.fullmatch(r"playing ━━━━ +5/25 0:00:10 -:--:--", line.text())  # the beginning, which compiles
        now = 30.0
        line.reached(15, 25)
        assert re.fullmatch(r"playing ━{12} +15/25 0:00:30 0:00:20", line.text())


def test_a_line_is_renewed_below_its_cell_and_leaves_nothing(monkeypatch):
    updates = []
    cell = types.SimpleNamespace(update=lambda data, **options: updates.append(data["text/plain"]))
    monkeypatch.setattr("IPython.display.display", lambda data, **options: updates.append(data["text/plain"]) or cell)
    monkeypatch.setattr(waiting, "in_notebook", lambda: True)
    with waiting.Waiting("playing"):
        pass
    assert updates[0].startswith("playing ━")
    assert updates[-1] == ""


def test_a_line_is_not_shown_in_a_file(capsys):
    with waiting.Waiting("playing") as line:
        line.reached(5, 25)
    assert capsys.readouterr().out == ""


def test_a_table_is_text_and_html():
    table = Table([("", "a <b>"), ("return", "+1.50 (+1.00 – +2.00)")], "a note")
    assert table.splitlines() == ["                        a <b>", "return  +1.50 (+1.00 – +2.00)", "a note"]
    page = table._repr_html_()
    assert "a &lt;b&gt;</th>" in page
    assert "+1.50<br><small>+1.00 – +2.00</small></td>" in page  # narrow enough for a phone
    assert "a note</p>" in page


def test_an_older_kernel_hears_widgets_while_a_cell_waits_and_keeps_the_rest_in_order(monkeypatch):
    session, heard = Messages(key=b"key"), []
    kernel = types.SimpleNamespace(
        msg_queue=queue.Queue(),
        session=session,
        shell_stream=None,
        shell_handlers={"comm_msg": lambda stream, sender, message: heard.append(message["content"]["comm_id"])},
    )
    sent = ["execute_request", "comm_msg", "execute_request", "comm_msg"]
    for number, kind in enumerate(sent):
        frames = session.serialize(session.msg(kind, {"comm_id": number}), ident=b"browser")
        kernel.msg_queue.put((number, None, ([zmq.Frame(frame) for frame in frames],)))
    monkeypatch.setattr("IPython.get_ipython", lambda: types.SimpleNamespace(kernel=kernel))
    training._handle_widget_messages()
    assert heard == [1, 3]
    assert [kernel.msg_queue.get()[0] for _ in range(kernel.msg_queue.qsize())] == [0, 2]
    del kernel.msg_queue  # as in ipykernel 7, which hears by itself
    training._handle_widget_messages()
