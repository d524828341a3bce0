"""What there is to see of one game, in plain Python: the one place that knows it.

Text, SVG, picture and replay all draw a `Scene`: what lies on each cell, what stands beside the board, the words, marks
and colours for both, and the legend. Nothing is kept from the viewer: what the player does not see (a hidden block, an
unseen cryptog) is shown as such.
"""

import dataclasses
from collections.abc import Iterator
from typing import Any

from hackmatrix_core.game import GameState, scenario
from hackmatrix_core.game.entity import ENEMY_NAMES, FULL_HP
from hackmatrix_core.game.state import BOARD_SIZE, MAX_HP, NUM_STAGES
from hackmatrix_core.viewing.actions import ACTIONS

PALETTE = {
    # The colours of Okabe and Ito, which the colour-blind can tell apart; each also has a letter or a shape.
    "virus": "#e8702a",
    "daemon": "#cc79a7",
    "glitch": "#e6b34d",
    "cryptog": "#56b4e9",
    "player": "#ffffff",
    "credits": "#f0e442",
    "energy": "#2fc99a",
    "exit": "#2fc99a",
    "data siphon": "#56b4e9",
    "data block": "#46536b",
    "program block": "#5f4a73",
    "spawn": "#ff9d5c",
    "siphoned": "#7d8aa0",
    # The surfaces: dark, because these colours are light.
    "panel": "#151a22",
    "cell": "#222a36",
    "line": "#46536b",
    "ink": "#eef2f8",
    "faint": "#9aa7ba",
    "dark": "#10141b",
}
"""Colours by what they stand for, as #rrggbb."""

_PRICES = {action.name: action.price for action in ACTIONS}
_FULL_HP = dict(zip(ENEMY_NAMES, map(int, FULL_HP), strict=True))


@dataclasses.dataclass(frozen=True)
class Being:
    """The player, an enemy or a transmission on a cell."""

    kind: str
    """`player`, `enemy` or `transmission`."""
    name: str
    """`player`, or the type of R1.5: its colour in the palette."""
    hp: int = 0
    full_hp: int = 0
    turns: int = 0
    """Of a transmission: turns left (R1.6)."""
    disabled: int = 0
    stunned: bool = False
    unseen: bool = False
    """A cryptog that the player does not see (R1.5)."""
    from_siphon: bool = False
    scheduled: bool = False

    @property
    def letter(self) -> str:
        """The sign that stands for it."""
        return "@" if self.kind == "player" else self.name[0].upper()

    @property
    def words(self) -> str:
        """Everything there is to say about it, as in "daemon, 2 of 3 hp, stunned"."""
        if self.kind == "transmission":
            parts = [f"transmission of a {self.name}", f"{self.turns} turns left"]
        else:
            parts = [self.name, f"{self.hp} of {self.full_hp} hp"]
        if self.stunned:
            parts.append("stunned")
        if self.disabled:
            parts.append(f"disabled for {self.disabled}")
        if self.unseen:
            parts.append("unseen")
        if self.from_siphon:
            parts.append("from a siphon")
        if self.scheduled:
            parts.append("scheduled")
        return ", ".join(parts)


@dataclasses.dataclass(frozen=True)
class Block:
    """A block (R1.3)."""

    kind: str
    """`data block` or `program block`: its colour in the palette."""
    label: str
    """The points or the name of the program."""
    spawn: int
    hidden: bool

    @property
    def words(self) -> str:
        """Everything there is to say about it, as in "program block push, brings 4 enemies, hidden"."""
        return f"{self.kind} {self.label}, brings {self.spawn} enemies{', hidden' if self.hidden else ''}"


@dataclasses.dataclass(frozen=True)
class Cell:
    """One cell (R1.2) and who is on it."""

    row: int
    col: int
    block: Block | None
    item: str
    """`exit`, `data siphon`, `exit position` (R1.8, where it is not the exit cell) or nothing."""
    credits: int
    energy: int
    siphoned: bool
    siphon_center: bool
    beings: tuple[Being, ...]

    @property
    def words(self) -> str:
        """Everything there is to say about it, for a tooltip."""
        parts = [self.block.words] if self.block else []
        parts += [self.item] if self.item else []
        parts += [f"{amount} {name}" for name, amount in self.resources]
        parts += ["siphoned"] if self.siphoned else []
        parts += ["siphon centre"] if self.siphon_center else []
        parts += [being.words for being in self.beings]
        return f"row {self.row}, column {self.col}: {'; '.join(parts) or 'empty'}"

    @property
    def resources(self) -> tuple[tuple[str, int], ...]:
        """Credits or energy with the amount."""
        return tuple((name, amount) for name, amount in (("credits", self.credits), ("energy", self.energy)) if amount)


@dataclasses.dataclass(frozen=True)
class Scene:
    """One game as it is shown."""

    rows: tuple[tuple[Cell, ...], ...]
    """6 × 6 cells, row 0 first; it is drawn at the bottom (R1.1)."""
    status: tuple[tuple[tuple[str, str], ...], ...]
    """What is shown next to the board: lines of one or two pairs of label and value."""
    programs: tuple[tuple[str, str], ...]
    """Owned programs and their costs, as in ("crash", "3c 2e")."""

    def cells(self) -> Iterator[Cell]:
        """All cells, row by row from the top, as they are read."""
        for row in reversed(self.rows):
            yield from row


def scene(state: GameState) -> Scene:
    """The scene of one game.

    Raises:
        ValueError: the state is a batch.
    """
    game = scenario.to_dict(state)
    beings = _beings(game)
    cells = game["cells"]
    at_exit = tuple(game["exit"])
    return Scene(
        rows=tuple(
            tuple(_cell(cells[row][col], row, col, at_exit, beings.get((row, col), ())) for col in range(BOARD_SIZE))
            for row in range(BOARD_SIZE)
        ),
        status=_status(game),
        programs=tuple((name, _PRICES[name]) for name in game["programs"]),
    )


def _cell(
    source: dict[str, Any], row: int, col: int, at_exit: tuple[int, int], beings: tuple[Being, ...] | list[Being]
) -> Cell:
    item = "exit" if "exit" in source else "data siphon" if "data_siphon" in source else ""
    return Cell(
        row=row,
        col=col,
        block=_block(source["block"]) if "block" in source else None,
        item=item or ("exit position" if (row, col) == at_exit else ""),
        credits=source.get("credits", 0),
        energy=source.get("energy", 0),
        siphoned="siphoned" in source,
        siphon_center="siphon_center" in source,
        beings=tuple(beings),
    )


def _block(source: dict[str, Any]) -> Block:
    label = source["program"] if source["kind"] == "program" else f"{source['points']}pt"
    return Block(f"{source['kind']} block", label, source["spawn"], source["hidden"])


def _beings(game: dict[str, Any]) -> dict[tuple[int, int], list[Being]]:
    """Who is on which cell: the player, then enemies and transmissions in order of arrival (R1.7)."""
    player = game["player"]
    place = player["row"], player["col"]
    beings = {place: [Being("player", "player", hp=player["hp"], full_hp=MAX_HP)]}
    for enemy in game["enemies"]:
        at = enemy["row"], enemy["col"]
        seen = enemy["type"] != "cryptog" or game["show"] or at[0] == place[0] or at[1] == place[1]
        being = Being(
            "enemy",
            enemy["type"],
            hp=enemy["hp"],
            full_hp=_FULL_HP[enemy["type"]],
            disabled=enemy["disabled"],
            stunned=enemy["stunned"],
            unseen=not seen,
            from_siphon=enemy["from_siphon"],
            scheduled=enemy["scheduled"],
        )
        beings.setdefault(at, []).append(being)
    for coming in game["transmissions"]:
        being = Being(
            "transmission",
            coming["type"],
            turns=coming["turns"],
            from_siphon=coming["from_siphon"],
            scheduled=coming["scheduled"],
        )
        beings.setdefault((coming["row"], coming["col"]), []).append(being)
    return beings


def _status(game: dict[str, Any]) -> tuple[tuple[tuple[str, str], ...], ...]:
    player, schedule = game["player"], game["schedule"]
    if game["calm"]:
        next_spawn = "none (calm)"
    elif schedule["interval"] <= 0:
        next_spawn = "none"
    else:
        next_spawn = f"turn {schedule['next_turn']}"
    return (
        (("stage", f"{game['stage']}/{NUM_STAGES}"), ("turn", str(game["turn"]))),
        (("hp", f"{player['hp']}/{MAX_HP}"), ("attack", str(player["attack"]))),
        (("credits", str(player["credits"])), ("energy", str(player["energy"]))),
        (("siphons", str(player["data_siphons"])), ("score", str(player["score"]))),
        (("next spawn", next_spawn),),
        (("interval", str(schedule["interval"])), ("pending", str(game["pending_spawns"]))),
        (("flags", " ".join(flag for flag in ("show", "calm", "step") if game[flag]) or "none"),),
        (("undo", str(len(game["history"]))), ("programs", str(len(game["programs"])))),
    )


# One cell for each entry of the legend: every renderer shows it as it shows that cell, and the words next to it.
def _sample(*beings: Being, **changes: Any) -> Cell:
    plain = Cell(0, 0, None, "", 0, 0, siphoned=False, siphon_center=False, beings=beings)
    return dataclasses.replace(plain, **changes)


def _enemy(name: str, **changes: Any) -> Cell:
    return _sample(Being("enemy", name, hp=_FULL_HP[name], full_hp=_FULL_HP[name], **changes))


LEGEND: tuple[tuple[Cell, str], ...] = (
    (_sample(Being("player", "player", hp=MAX_HP, full_hp=MAX_HP)), "you, 3 hp"),
    (_enemy("virus"), "virus, 2 hp"),
    (_enemy("daemon"), "daemon, 3 hp"),
    (_enemy("glitch"), "glitch, 2 hp"),
    (_enemy("cryptog"), "cryptog, 2 hp"),
    (_enemy("cryptog", unseen=True), "cryptog, unseen"),
    (_enemy("virus", stunned=True), "stunned"),
    (_enemy("virus", disabled=1), "disabled, 1 turn"),
    (_enemy("virus", from_siphon=True), "from a siphon"),
    (_sample(Being("transmission", "virus", turns=1)), "virus in 1 turn"),
    (_sample(block=Block("data block", "5pt", 5, hidden=False)), "5 points, 5 spawns"),
    (_sample(block=Block("program block", "push", 4, hidden=False)), "program, 4 spawns"),
    (_sample(block=Block("data block", "5pt", 5, hidden=True)), "hidden block"),
    (_sample(credits=2), "2 credits"),
    (_sample(energy=2), "2 energy"),
    (_sample(item="data siphon"), "data siphon"),
    (_sample(item="exit"), "exit"),
    (_sample(item="exit position"), "exit position"),
    (_sample(siphoned=True), "siphoned"),
    (_sample(siphon_center=True), "siphon centre"),
)
"""What the marks mean: a cell that shows just this, and its words."""
