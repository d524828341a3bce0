"""Make the animated picture of the README, docs/images/won_game.gif: a game that the pretrained agent wins.

.venv/bin/python -m tests.tools.won_game
"""

import io

import jax
import numpy as np
from PIL import Image

import hackmatrix_core as hm
from tests import ROOT

SEED = 57
"""A game through all eight stages, with siphons and two programs, in about 200 actions."""
STRIP = 46  # pixels below the board, for the action
LEFT, RIGHT = 34, 538  # edges of the board
WHITE, GREY, GREEN = "#eef2f8", "#9aa7ba", "#2fc99a"
SCALE = 0.8
COLORS = 128
FIRST, EACH, LAST = 1500, 320, 4000  # milliseconds that a frame stays


def frame(episode: hm.Episode, time: int) -> Image.Image:
    """The state at a time, and below it the action that the agent takes there with its probability."""
    figure = hm.rendering.picture(jax.tree.map(lambda x: x[time], episode.states), legend=False)
    width, height = figure.get_size_inches() * figure.dpi
    figure.set_size_inches(width / figure.dpi, (height + STRIP) / figure.dpi)
    strip = STRIP / (height + STRIP)
    figure.axes[0].set_position((0, strip, 1, 1 - strip))
    if time == len(episode):
        figure.text(LEFT / width, strip / 2, "won", color=GREEN, fontsize=17, weight="bold")
    else:
        action = int(episode.actions[time])
        says = f"probability {episode.probabilities[time, action]:.0%}    action {time + 1} of {len(episode)}"
        figure.text(LEFT / width, strip / 2, hm.ACTION_NAMES[action], color=WHITE, fontsize=17, weight="bold")
        figure.text(RIGHT / width, strip / 2, says, color=GREY, fontsize=12, ha="right")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=SCALE * figure.dpi)
    return Image.open(buffer).convert("RGB")


def palette_of(frames: list[Image.Image]) -> Image.Image:
    """The most frequent colours, so that those of the board stay exactly what they are."""
    colors, counts = np.unique(
        np.concatenate([np.reshape(image, (-1, 3)) for image in frames]), axis=0, return_counts=True
    )
    palette = Image.new("P", (1, 1))
    palette.putpalette(colors[np.argsort(-counts)[:COLORS]].tobytes())
    return palette


def main() -> None:
    """Play the game and write the picture."""
    episode = hm.record(hm.load_policy("pretrained"), jax.random.key(SEED))
    assert episode.outcomes.won[-1], f"seed {SEED} is no longer a game that is won: choose another"
    frames = [frame(episode, time) for time in range(len(episode) + 1)]
    palette = palette_of(frames[::10])
    images = [image.quantize(palette=palette, dither=Image.Dither.NONE) for image in frames]
    path = ROOT / "docs/images/won_game.gif"
    durations = [FIRST, *[EACH] * (len(images) - 2), LAST]
    images[0].save(path, save_all=True, append_images=images[1:], duration=durations, loop=0, optimize=True)
    print(f"{path}: {len(images)} frames, {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
