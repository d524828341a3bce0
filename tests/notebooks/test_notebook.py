"""What the notebooks share: the folder of a run and the config for the device."""

import queue
import re
import sys
import types

import pytest
import zmq
from jupyter_client.session import Session

from hackmatrix_core import notebook
from hackmatrix_core.training.config import TrainConfig


@pytest.fixture
def whole(monkeypatch):
    monkeypatch.setattr(notebook, "SMOKE", False)


def test_a_run_is_kept_beside_the_notebook_and_drive_is_reported(whole, capsys):
    assert str(notebook.run_directory("mine")) == "runs/mine"
    assert capsys.readouterr().out == ""
    assert str(notebook.run_directory("mine", drive=True)) == "runs/mine"
    assert "no Google Drive outside Colab" in capsys.readouterr().out


def test_on_colab_a_run_is_kept_on_drive_if_asked(whole, monkeypatch):
    """Google's package stands in: it is nowhere but on Colab."""
    mounted = []
    drive = types.ModuleType("google.colab.drive")
    drive.mount = mounted.append
    monkeypatch.setitem(sys.modules, "google.colab", types.ModuleType("google.colab"))
    monkeypatch.setitem(sys.modules, "google.colab.drive", drive)
    assert str(notebook.run_directory("mine")) == "runs/mine"
    assert mounted == []
    assert str(notebook.run_directory("mine", drive=True)) == "/content/drive/MyDrive/hackmatrix/runs/mine"
    assert mounted == ["/content/drive"]


def test_config_of_another_device_is_replaced_with_a_message(whole, capsys):
    assert notebook.config_for("cpu", seed=4) == TrainConfig.preset("cpu", seed=4)
    assert " found, only " not in capsys.readouterr().out
    config = notebook.config_for("t4", ent_coef=0.07)
    assert config == TrainConfig.preset("cpu", ent_coef=0.07)
    told = capsys.readouterr().out
    assert "No T4 GPU found" in told
    assert f"{config.num_envs} environments" in told
    assert notebook.config_for("cpu", num_envs=128).num_envs == 128  # fewer, for want of memory
    with pytest.raises(ValueError, match="ent_coef is -1"):
        notebook.config_for("t4", ent_coef=-1)


def test_doctor_tells_device_sizes_and_whether_a_run_goes_on(whole, capsys, tmp_path):
    config, run_dir = TrainConfig.preset("cpu"), tmp_path / "runs" / "mine"

    def told():
        notebook.doctor(config, run_dir)
        return " ".join(capsys.readouterr().out.split())

    first = told()
    assert re.search(r"device \d+ × cpu", first)
    assert "256 games side by side × 32 steps = 8,192 steps" in first
    assert "mine is new" in first
    assert re.search(r"disk [\d.]+ GiB free", first)
    assert f"ent_coef={config.ent_coef}" in first
    for name in ("8", "12", "13.orbax-checkpoint-tmp"):
        (run_dir / "checkpoints" / name).mkdir(parents=True)
    assert f"mine continues after update 12 of {config.num_updates}" in told()
    (run_dir / "checkpoints" / str(config.num_updates)).mkdir()
    assert "mine is complete" in told()


def test_smoke_size_is_small_and_leaves_nothing_behind(monkeypatch, tmp_path):
    monkeypatch.setattr(notebook, "SMOKE", True)
    assert notebook.config_for("tpu", seed=2).total_timesteps == 1024
    assert not notebook.run_directory("mine").exists()


def test_an_older_kernel_hears_widgets_while_a_cell_waits_and_keeps_the_rest_in_order(monkeypatch):
    session, heard = Session(key=b"key"), []
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
    notebook._hear_widgets()
    assert heard == [1, 3]
    assert [kernel.msg_queue.get()[0] for _ in range(kernel.msg_queue.qsize())] == [0, 2]
    del kernel.msg_queue  # as in ipykernel 7, which hears by itself
    notebook._hear_widgets()
