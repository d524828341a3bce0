"""The state behind what the original tells: the same as in the simulator, kept from action to action.

The original tells neither the snapshots for UNDO nor the uses of ATK+, STEP in effect, which empty cells are siphoned,
or the flags and the order of transmissions. These follow from the game so far. Three things do not: the type of a
transmission, what a hidden block is, and, of transmissions that come together, their order and which one is scheduled.
They are guessed, and the guess is mended, also in the snapshots, as soon as the original shows them.
"""

import dataclasses
from typing import Any

import jax
import numpy as np

from hackmatrix_core.environment.original.reading import Told
from hackmatrix_core.game import actions, cell, entity, history
from hackmatrix_core.game.actions import DIRECTIONS, FIRST_PROGRAM, NUM_PROGRAMS, PROGRAM_NAMES, PROGRAMS
from hackmatrix_core.game.entity import ENEMY_NAMES
from hackmatrix_core.game.packing import word_of
from hackmatrix_core.game.state import BOARD_SIZE, DEFAULT_UNDO_DEPTH, MAX_ENTITIES, NUM_CELLS, GameState

_NUMBER = {name: NUM_CELLS + MAX_ENTITIES + i for i, name in enumerate(history.NUMBERS)}
"""The index of each number in a packed snapshot."""
_REDUC = PROGRAMS[actions.REDUC - FIRST_PROGRAM]
_FLAGS = entity.FROM_SIPHON.mask | entity.SCHEDULED.mask
_DRAWS = 1000
_VARIANTS = 8


@dataclasses.dataclass
class Secret:
    """The type of a transmission, its flags, or what a hidden block is. All moments that hold it share it."""

    word: int
    """Its bits of the packed word."""
    came: int
    """The number of the action that brought it."""
    is_known: bool = False

    def reveal(self, word: int) -> None:
        """Now it is known."""
        self.word, self.is_known = word, True


@dataclasses.dataclass(frozen=True)
class Moment:
    """The present, or a snapshot, with its secrets apart."""

    words: np.ndarray
    """uint32 (84,) as `history.pack` has them, but with the flags of entities; 0 for what is secret."""
    secrets: dict[int, Secret]
    """What hidden blocks are and the types of transmissions, by the index of their word."""
    flags: dict[int, Secret]
    """The flags of transmissions, where they are secret."""
    reduced: int
    """How often REDUC was run in this stage."""

    def filled(self) -> np.ndarray:
        """The words with the secrets as they are known or guessed now."""
        words = self.words.copy()
        for index, secret in self.secrets.items():
            word = secret.word
            if index < NUM_CELLS:
                spawn = max(0, cell.BLOCK_SPAWN.of(word) - self.reduced)
                word = word & ~cell.BLOCK_SPAWN.mask | word_of((cell.BLOCK_SPAWN, spawn))
            words[index] |= word
        for index, secret in self.flags.items():
            words[index] |= secret.word
        return words


class Belief:
    """The state of one game of the original.

    Args:
        told: of the beginning.
        rng: for the guesses.
    """

    def __init__(self, told: Told, rng: np.random.Generator) -> None:
        self._rng, self._time = rng, 0
        self._history: list[Moment] = []
        self._rest: dict[str, int | bool] = {"step": False, "exit": 0}
        self._now = Moment(np.zeros(history.WORDS, np.uint32), {}, {}, 0)
        self._enter(told)

    def copy(self) -> "Belief":
        """What is believed now; `follow` leaves it alone, but for secrets that come out."""
        other = object.__new__(Belief)
        vars(other).update(vars(self), _history=list(self._history), _rest=dict(self._rest))
        return other

    def follow(self, action: int, told: Told, completed: bool, won: bool, kills: bool) -> None:
        """Take in what a valid action brought; `completed` says whether it ended the stage, `kills` of a kill."""
        self._time += 1
        ends_turn = (action <= actions.SIPHON or action == actions.WAIT) and not completed
        moves = ends_turn and not self._rest["step"]
        if completed and not won:
            self._enter(told)
            return
        old = self._history.pop() if action == actions.UNDO else self._now
        there = _transmissions(old.words)
        if (target := self._target(action, there, told)) is not None:
            index = there.pop(target)
            if index in old.flags:
                self._reveal_flags(old.flags[index], entity.FROM_SIPHON.mask if kills else entity.SCHEDULED.mask)
        if moves:
            self._arrive(old, there, told)
        uses = int(old.words[_NUMBER["atk_plus_uses"]]) + (action == actions.ATK_PLUS)
        reduced = old.reduced + (action == actions.REDUC)
        siphoned = _is_siphoned(old.words)
        if action == actions.SIPHON:
            siphoned[_with_neighbours(int(told.numbers["position"]))] = True
        self._be(told, old, there, siphoned, uses, reduced, self._flags(action, told) if moves else 0)
        self._rest["step"] = action == actions.STEP or (self._rest["step"] and not ends_turn)
        self._note(told)
        if moves:
            words = self._now.words.copy()
            words[NUM_CELLS : NUM_CELLS + MAX_ENTITIES] &= entity.REMEMBERED_BITS
            self._history.append(dataclasses.replace(self._now, words=words, flags={}))

    def agree(self, mask: np.ndarray) -> None:
        """Guess hidden blocks anew until REDUC is as valid as the mask, bool (28,), says."""
        if not self._can_pay_reduc or all(secret.is_known for secret in self._blocks()):
            return
        for _ in range(_DRAWS):
            cells = self._now.filled()[:NUM_CELLS].tolist()
            if mask[actions.REDUC] == any(
                _is_block(word) and cell.BLOCK_SPAWN.of(word) > 0 and not cell.SIPHONED.of(word) for word in cells
            ):
                return
            for secret in self._blocks():
                if not secret.is_known:
                    secret.word = self._guessed_block()

    def state(self, undo_depth: int = DEFAULT_UNDO_DEPTH) -> GameState:
        """The state, with its newest snapshots."""
        words: Any = self._now.filled()
        fields: dict[str, Any] = {**vars(history.unpack(words)), **self._rest}
        numbers = {name: np.int32(fields[name]) for name in self._rest if name != "step"}
        past: Any = history.from_rows([moment.filled() for moment in self._history[-undo_depth:]], undo_depth)
        return jax.device_put(GameState(**fields | numbers | past | {"step": np.bool_(fields["step"])}))

    def guesses(self) -> list[str]:
        """What of the state is a guess, in sentences."""
        said, unknown = [], [(index, secret) for index, secret in self._now.secrets.items() if not secret.is_known]
        words = self._now.filled()
        came: dict[int, list[str]] = {}
        for index, secret in unknown:
            word = int(words[index])
            if index < NUM_CELLS:
                is_data = cell.CONTENT.of(word) == cell.DATA_BLOCK
                value = cell.BLOCK_VALUE.of(word)
                what = f"data with {value} points" if is_data else f"the program {PROGRAM_NAMES[value]}"
                said.append(f"the hidden block at {divmod(index, BOARD_SIZE)} is taken for {what}")
            else:
                at = str(divmod(entity.CELL.of(word), BOARD_SIZE))
                said.append(f"the transmission at {at} is taken for a {ENEMY_NAMES[entity.TYPE.of(word)]}")
                came.setdefault(secret.came, []).append(at)
        for places in came.values():
            if len(places) > 1:
                said.append(f"the transmissions at {', '.join(places)} came together, and their order is a guess")
        flags = [index for index, secret in self._now.flags.items() if not secret.is_known]
        if places := [str(divmod(entity.CELL.of(int(words[index])), BOARD_SIZE)) for index in flags]:
            said.append(f"which of the transmissions at {', '.join(places)} is the scheduled one is a guess")
        here = set(map(id, self._now.secrets.values()))
        past = {id(s) for moment in self._history for s in moment.secrets.values() if not s.is_known} - here
        if past:
            said.append(f"UNDO could bring back {len(past)} transmissions or hidden blocks whose content is a guess")
        return said

    def variants(self, number: int) -> tuple[np.ndarray, np.ndarray]:
        """The packed cells and entities, uint32 (number, 36) each, with a few other guesses among them.

        These are what hidden blocks are, and which of the transmissions that came together is the scheduled one.
        """
        variants = [self._now.filled()]
        hidden = [i for i, secret in self._now.secrets.items() if i < NUM_CELLS and not secret.is_known]
        flags = {i: secret for i, secret in self._now.flags.items() if not secret.is_known}
        while (hidden or flags) and len(variants) < _VARIANTS:
            blocks = {index: Secret(self._guessed_block(), 0) for index in hidden}
            groups = {tuple(self._together(secret)) for secret in flags.values()}
            scheduled = {self._rng.choice([*group, None]) for group in groups}  # None: it is gone
            of_spawn = {i: Secret((entity.SCHEDULED if i in scheduled else entity.FROM_SIPHON).mask, 0) for i in flags}
            guess = dataclasses.replace(self._now, secrets=self._now.secrets | blocks, flags=self._now.flags | of_spawn)
            variants.append(guess.filled())
        words = np.resize(np.array(variants), (number, history.WORDS))
        return words[:, :NUM_CELLS], words[:, NUM_CELLS : NUM_CELLS + MAX_ENTITIES]

    def _together(self, flags: Secret) -> list[int]:
        """The indices of the transmissions that came with this one, itself among them, whose flags are secret."""
        return [i for i, other in self._now.flags.items() if other.came == flags.came and not other.is_known]

    def _reveal_flags(self, flags: Secret, word: int) -> None:
        """Now the flags of a transmission are known, and something of those that came with it."""
        others = [self._now.flags[i] for i in self._together(flags) if self._now.flags[i] is not flags]
        if word == entity.SCHEDULED.mask:
            for other in others:
                other.reveal(entity.FROM_SIPHON.mask)
        elif flags.word == entity.SCHEDULED.mask and others:
            others[self._rng.integers(len(others))].word = entity.SCHEDULED.mask
        flags.reveal(word)

    def _enter(self, told: Told) -> None:
        """The beginning of a stage."""
        exits = [place for place, word in enumerate(told.cells.tolist()) if cell.CONTENT.of(word) == cell.EXIT]
        self._rest |= {"stage": told.numbers["stage"], "step": False}
        self._rest["exit"] = exits[0] if exits else self._rest["exit"]
        old = dataclasses.replace(self._now, secrets={i: s for i, s in self._now.secrets.items() if i >= NUM_CELLS})
        self._be(told, old, _transmissions(old.words), np.zeros(NUM_CELLS, bool), 0, 0, 0)
        self._note(told)

    def _note(self, told: Told) -> None:
        names = ("interval", "next_turn", "pending_spawns")
        self._rest |= {name: told.numbers[name] for name in names if name in told.numbers}

    def _target(self, action: int, transmissions: dict[int, int], told: Told) -> int | None:
        """The cell of the transmission that an attack (R4.3) or WARP (R8.2) removes."""
        if action > actions.RIGHT:
            place = told.numbers["position"]
            return place if action == actions.WARP and place in transmissions.keys() - told.transmissions else None
        words = self._now.words
        enemies = {entity.CELL.of(word) for word in _entities(words) if entity.KIND.of(word) == entity.ENEMY}
        at = np.array(divmod(int(words[_NUMBER["position"]]), BOARD_SIZE))
        while np.all((at := at + DIRECTIONS[action]) >= 0) and np.all(at < BOARD_SIZE):
            place = int(at[0] * BOARD_SIZE + at[1])
            if place in transmissions:
                return place
            if place in enemies or _is_block(int(words[place])):
                return None
        return None

    def _arrive(self, old: Moment, there: dict[int, int], told: Told) -> None:
        """Take out the transmissions that become enemies (R6.1), the last of the list; now their types are known."""
        arrived = [place for place, index in there.items() if entity.TIMER.of(int(old.words[index])) <= 1]
        last = told.enemies[len(told.enemies) - len(arrived) :] if told.is_complete else []
        words = {entity.CELL.of(word): word for word in last}
        for place in arrived:
            index = there.pop(place)
            if word := words.get(place):
                old.secrets[index].reveal(word & entity.TYPE.mask)
                if index in old.flags:
                    self._reveal_flags(old.flags[index], word & _FLAGS)

    def _flags(self, action: int, told: Told) -> int:
        """The flags of the first transmission that is spawned in this turn, the others have `FROM_SIPHON` (R6.3)."""
        next_turn = self._rest["next_turn"] + 5 * (action == actions.SIPHON)
        is_due = told.numbers.get("next_turn", next_turn) != next_turn
        return entity.SCHEDULED.mask if is_due else entity.FROM_SIPHON.mask

    def _be(
        self, told: Told, old: Moment, there: dict[int, int], siphoned: np.ndarray, uses: int, reduced: int, flags: int
    ) -> None:
        """Make a moment the present.

        Args:
            told: of it.
            old: the moment from which it followed, or that UNDO brought back.
            there: the indices of its transmissions that may still be there, by cell.
            siphoned: (36,) bool, by what is known of the cells without a block.
            uses: of ATK+.
            reduced: how often REDUC was run.
            flags: packed flags of the first new transmission; where these are not 0, the others are from a siphon.
        """
        is_hidden = (told.cells & cell.HIDDEN.mask) != 0
        is_block = np.array([_is_block(word) for word in told.cells.tolist()])
        secrets: dict[int, Secret] = {}
        secret_flags: dict[int, Secret] = {}
        for index in np.flatnonzero(is_hidden).tolist():
            secrets[index] = old.secrets.get(index) or Secret(0, self._time)
        for index, secret in old.secrets.items():
            if index < NUM_CELLS and is_block[index] and not is_hidden[index]:
                secret.reveal(_before_siphon(int(told.cells[index])))
        kept = [place for place in there if place in told.transmissions]
        new = [place for place in told.transmissions if place not in there]
        self._rng.shuffle(new)
        words = told.enemies[:MAX_ENTITIES]
        for number, place in enumerate([*kept, *new][: MAX_ENTITIES - len(words)]):
            turns, shown = told.transmissions[place]
            index, word = NUM_CELLS + len(words), 0
            if place in there:
                secret, word = old.secrets[there[place]], int(old.words[there[place]]) & _FLAGS
                if known := old.flags.get(there[place]):
                    secret_flags[index] = known
            else:
                secret = Secret(word_of((entity.TYPE, int(self._rng.integers(4)))), self._time)
                word = flags if number == len(kept) else entity.FROM_SIPHON.mask if flags else 0
                if flags == entity.SCHEDULED.mask and len(new) > 1:
                    secret_flags[index], word = Secret(word, self._time), 0
            if shown is not None:
                secret.reveal(word_of((entity.TYPE, shown)))
            secrets[index] = secret
            words.append(
                word | word_of((entity.KIND, entity.TRANSMISSION), (entity.CELL, place), (entity.TIMER, turns))
            )
        words += [0] * (MAX_ENTITIES - len(words))
        cells = told.cells | np.where(siphoned & ~is_block, np.uint32(cell.SIPHONED.mask), np.uint32(0))
        cells = np.where(is_hidden, cells & ~np.uint32(cell.CONTENT.mask), cells)  # it is with the secret
        numbers = [uses if name == "atk_plus_uses" else told.numbers[name] for name in history.NUMBERS]
        packed = np.concatenate([cells, np.array([*words, *numbers], np.uint32)])
        self._now = Moment(packed, secrets, secret_flags, reduced)
        for index in np.flatnonzero(is_hidden).tolist():
            secrets[index].word = secrets[index].word or self._guessed_block()

    @property
    def _can_pay_reduc(self) -> bool:
        programs, credits, energy = (int(self._now.words[_NUMBER[name]]) for name in ("programs", "credits", "energy"))
        is_owned = programs >> (actions.REDUC - FIRST_PROGRAM) & 1
        return bool(is_owned and credits >= _REDUC.credits and energy >= _REDUC.energy)

    def _blocks(self) -> list[Secret]:
        return [secret for index, secret in self._now.secrets.items() if index < NUM_CELLS]

    def _guessed_block(self) -> int:
        """A hidden block as R3.3 draws it."""
        cells = self._now.words[:NUM_CELLS].tolist()
        if self._rng.integers(2):
            points = int(self._rng.integers(1, 10))
            return word_of((cell.CONTENT, cell.DATA_BLOCK), (cell.BLOCK_VALUE, points), (cell.BLOCK_SPAWN, points))
        others = {cell.BLOCK_VALUE.of(word) for word in cells if cell.CONTENT.of(word) == cell.PROGRAM_BLOCK}
        return _program_block(int(self._rng.choice([i for i in range(NUM_PROGRAMS) if i not in others])))


def _program_block(program: int) -> int:
    spawn = PROGRAMS[program].spawn
    return word_of((cell.CONTENT, cell.PROGRAM_BLOCK), (cell.BLOCK_VALUE, program), (cell.BLOCK_SPAWN, spawn))


def _before_siphon(word: int) -> int:
    """What a block was, of what it is after it was siphoned."""
    value = cell.BLOCK_VALUE.of(word)
    if cell.CONTENT.of(word) == cell.PROGRAM_BLOCK:
        return _program_block(value)
    return word_of((cell.CONTENT, cell.DATA_BLOCK), (cell.BLOCK_VALUE, value), (cell.BLOCK_SPAWN, value))


def _entities(words: np.ndarray) -> list[int]:
    return words[NUM_CELLS : NUM_CELLS + MAX_ENTITIES].tolist()


def _transmissions(words: np.ndarray) -> dict[int, int]:
    """The indices of the transmissions' words by their cells, in list order."""
    found = enumerate(_entities(words), NUM_CELLS)
    return {entity.CELL.of(word): i for i, word in found if entity.KIND.of(word) == entity.TRANSMISSION}


def _is_block(word: int) -> bool:
    return cell.CONTENT.of(word) in (cell.DATA_BLOCK, cell.PROGRAM_BLOCK) or bool(cell.HIDDEN.of(word))


def _is_siphoned(words: np.ndarray) -> np.ndarray:
    return (words[:NUM_CELLS] & cell.SIPHONED.mask) != 0


def _with_neighbours(place: int) -> list[int]:
    row, col = divmod(place, BOARD_SIZE)
    around = [(row, col), *((row + r, col + c) for r, c in DIRECTIONS.tolist())]
    return [r * BOARD_SIZE + c for r, c in around if 0 <= r < BOARD_SIZE and 0 <= c < BOARD_SIZE]
