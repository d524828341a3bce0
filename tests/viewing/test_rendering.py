"""What is seen of a game: each thing of a state shows, in text, SVG and picture."""

import copy
import re
import xml.etree.ElementTree as ElementTree

import jax
import numpy as np
import pytest
from matplotlib.figure import Figure

import hackmatrix_core as hm
from hackmatrix_core.game.actions import PROGRAMS
from hackmatrix_core.viewing import rendering
from hackmatrix_core.viewing.board.contents import LEGEND

SVG = "{http://www.w3.org/2000/svg}"
ESCAPES = re.compile(r"\x1b\[[\d;]*m")


def empty_game():
    player = {"row": 2, "col": 2, "hp": 2, "credits": 41, "energy": 37, "data_siphons": 6, "attack": 9, "score": 88}
    return {
        "stage": 4,
        "turn": 23,
        "player": player,
        "exit": [5, 5],
        "cells": [[{} for _ in range(6)] for _ in range(6)],
        "enemies": [],
        "transmissions": [],
        "programs": [],
        "show": False,
        "calm": False,
        "step": False,
        "atk_plus_uses": 0,
        "schedule": {"interval": 7, "next_turn": 29},
        "pending_spawns": 5,
        "history": [],
    }


def enemy(**changes):
    flags = {"disabled": 0, "stunned": False, "from_siphon": False, "scheduled": False}
    return {"type": "virus", "row": 4, "col": 1, "hp": 1, **flags} | changes


def with_cell(**content):
    game = empty_game()
    game["cells"][4][1] = content
    return game


def with_enemy(**changes):
    return empty_game() | {"enemies": [enemy(**changes)]}


# What is changed in an empty game, and what the cell says then.
THINGS = {
    "data block": (with_cell(block={"kind": "data", "points": 7, "spawn": 6, "hidden": False}), "7pt"),
    "program block": (with_cell(block={"kind": "program", "program": "warp", "spawn": 3, "hidden": False}), "warp"),
    "hidden block": (with_cell(block={"kind": "data", "points": 7, "spawn": 6, "hidden": True}), "?"),
    "spawn": (with_cell(block={"kind": "data", "points": 7, "spawn": 6, "hidden": False}), "+6"),
    "exit": (with_cell(exit=True), "EXIT"),
    "credits": (with_cell(credits=3), "3c"),
    "energy": (with_cell(energy=2), "2e"),
    "virus": (with_enemy(), "V1"),
    "daemon": (with_enemy(type="daemon", hp=3), "D3"),
    "glitch": (with_enemy(type="glitch"), "G1"),
    "cryptog": (with_enemy(type="cryptog", row=2), "C1"),
    "disabled": (with_enemy(disabled=2), "z2"),
    "stunned": (with_enemy(stunned=True), "*"),
    "from a siphon": (with_enemy(from_siphon=True), "°"),
    "program owned": (empty_game() | {"programs": ["anti-v"]}, "anti-v"),
    "flag": (empty_game() | {"calm": True}, "calm"),
}


def words(state):
    """All texts of the SVG, the legend's left out."""
    root = ElementTree.fromstring(rendering.svg(state))
    return [element.text for element in root.iter(f"{SVG}text") if float(element.get("x")) < 790]


@pytest.mark.parametrize("name", THINGS)
def test_each_thing_shows(name):
    game, sign = THINGS[name]
    plain, state = hm.scenario.from_dict(empty_game()), hm.scenario.from_dict(game)
    board = rendering.text(state, color=False, legend=False)
    assert board.count(sign) > rendering.text(plain, color=False, legend=False).count(sign)
    assert sum(sign in word for word in words(state)) > sum(sign in word for word in words(plain))
    assert ESCAPES.sub("", rendering.text(state, legend=False)).split() == board.split()


@pytest.mark.parametrize(
    ("environment", "escapes"),
    [
        ({"TERM": "xterm-256color"}, {"bold", "color"}),
        ({"TERM": "xterm-256color", "NO_COLOR": "1"}, {"bold"}),
        ({"TERM": "dumb"}, set()),
    ],
)
def test_the_colours_are_those_that_the_terminal_has(monkeypatch, environment, escapes):
    for name in ("TERM", "COLORTERM", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    board = rendering.text(hm.scenario.from_dict(empty_game()))
    codes = ESCAPES.findall(board)
    found = {"bold": any(re.match(r"\x1b\[1[;m]", code) for code in codes), "color": any("38;" in c for c in codes)}
    assert {name for name, there in found.items() if there} == escapes
    assert len({len(ESCAPES.sub("", line)) for line in board.splitlines()}) == 1  # the panel behind is a rectangle


@pytest.mark.parametrize(
    ("change", "tip"),
    [
        (with_cell(data_siphon=True), "data siphon"),
        (with_cell(siphoned=True), "siphoned"),
        (with_cell(siphon_center=True), "siphon centre"),
        (with_enemy(type="cryptog"), "cryptog, 1 of 2 hp, unseen"),
        (with_enemy(scheduled=True), "virus, 1 of 2 hp, scheduled"),
        (
            empty_game()
            | {
                "transmissions": [
                    {"type": "daemon", "row": 4, "col": 1, "turns": 3, "from_siphon": False, "scheduled": False}
                ]
            },
            "transmission of a daemon, 3 turns left",
        ),
    ],
)
def test_a_tooltip_says_what_is_on_the_cell(change, tip):
    root = ElementTree.fromstring(rendering.svg(hm.scenario.from_dict(change)))
    tips = [element.text for element in root.iter(f"{SVG}title")]
    assert f"row 4, column 1: {tip}" in tips
    plain = rendering.text(hm.scenario.from_dict(empty_game()), color=False)
    assert rendering.text(hm.scenario.from_dict(change), color=False) != plain


def test_numbers_stand_beside_the_board():
    state = hm.scenario.from_dict(empty_game())
    expected = ["stage 4/8", "turn 23", "hp 2/3", "credits 41", "energy 37", "siphons 6", "attack 9", "score 88"]
    expected += ["next spawn turn 29", "interval 7", "pending 5", "flags none", "undo 0"]
    board = re.sub(" +", " ", rendering.text(state, color=False, legend=False))
    for line in expected:
        assert line in board
        label, value = line.rsplit(" ", 1)
        assert {label.removesuffix(" turn"), line.removeprefix("next spawn ") if "spawn" in line else value} <= set(
            words(state)
        )


def test_the_text_fits_80_columns_with_all_programs():
    programs = [program.name for program in PROGRAMS]
    lines = rendering.text(hm.scenario.from_dict(empty_game() | {"programs": programs}), color=False).splitlines()
    assert max(map(len, lines)) <= 80
    assert all(any(name in line for line in lines) for name in programs)


def test_row_0_is_at_the_bottom():
    game = empty_game()
    game["player"] |= {"row": 0, "col": 3}
    lines = rendering.text(hm.scenario.from_dict(game), color=False, legend=False).splitlines()
    (line,) = (line for line in lines if "@2" in line)
    assert lines.index(line) == 3 * 6 - 1  # the lower line of the last of six rows
    root = ElementTree.fromstring(rendering.svg(hm.scenario.from_dict(game)))
    (player,) = (e for e in root.iter(f"{SVG}text") if e.text == "@2")
    assert float(player.get("y")) > 430


def test_every_sign_is_in_the_legend():
    state = hm.scenario.from_dict(empty_game())
    texts = {element.text for element in ElementTree.fromstring(rendering.svg(state)).iter(f"{SVG}text")}
    board = rendering.text(state, color=False)
    for _, meaning in LEGEND:
        assert meaning in texts
        assert meaning in board


def test_a_crowded_cell_is_told_in_words():
    crowd = [enemy(type=kind, hp=2) for kind in ("virus", "daemon", "glitch", "virus", "glitch")]
    state = hm.scenario.from_dict(empty_game() | {"enemies": crowd})
    assert "daemon, 2 of 3 hp" in rendering.text(state, color=False, legend=False)
    assert "5 here" in words(state)


def test_picture_is_drawn_and_shows_the_difference():
    blank = rendering.rgb_array(hm.scenario.from_dict(empty_game()))
    assert blank.dtype == np.uint8
    assert blank.ndim == 3
    changed = rendering.rgb_array(hm.scenario.from_dict(with_enemy()))
    rows, cols = np.nonzero((blank != changed).any(axis=2))
    assert (rows.min(), rows.max()) > (100, 101)  # only the cell (4, 1) of the board
    assert rows.max() < 184
    assert 118 <= cols.min() <= cols.max() <= 202


def test_the_legend_stands_alone_on_a_phone():
    state = hm.scenario.from_dict(empty_game())
    figures = rendering.picture(state), rendering.picture(state, legend=False), rendering.legend()
    whole, board, legend = (figure.get_size_inches()[0] for figure in figures)
    assert board + legend == pytest.approx(whole, abs=0.5)
    assert legend < 4  # inches of 100 pixels
    texts = {text.get_text() for text in rendering.legend().axes[0].texts}
    assert {meaning for _, meaning in LEGEND} <= texts


def test_picture_gives_the_whole_figure():
    figure = Figure()
    part, _ = figure.subfigures(1, 2)
    assert rendering.picture(hm.scenario.from_dict(empty_game()), part.subplots()) is figure


def test_a_notebook_shows_states_and_batches():
    state = hm.scenario.from_dict(empty_game())
    assert rendering.picture(state)._repr_png_().startswith(b"\x89PNG")
    assert repr(rendering.picture(state)) == "a picture"
    shown = state._repr_html_()
    assert rendering.svg(state, legend=False) in shown
    assert shown.count("<svg") == 2  # the legend is one of its own, so that it goes below the board on a phone
    assert shown.count("siphon centre</text>") == 1
    other = copy.deepcopy(empty_game())
    other["stage"] = 6
    batch = jax.tree.map(lambda *x: np.stack(x), *[state, hm.scenario.from_dict(other)] * 3)
    html = batch._repr_html_()
    assert html.count("<svg") == 4
    assert "6 games" in html
    assert html.count("6/8") == 2
    assert hm.EnvState(state, np.float32(0), np.int32(0))._repr_html_() == shown

    seen = []
    jax.jit(lambda state: seen.append(state._repr_html_()))(state)
    assert seen == [None]
