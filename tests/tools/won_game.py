"""Make the animated picture of the README, docs/images/won_game.gif: a game that the pretrained agent wins.

.venv/bin/python -m tests.tools.won_game
"""

import io

import jax
import numpy as np
from matplotlib.figure import Figure
from PIL import Image

import hackmatrix_core as hm
from hackmatrix_core.viewing.scene import PALETTE
from tests import ROOT

SEED = 57
"""A game through all eight stages, with siphons and two programs, in about 200 actions."""
WIDTH, HEIGHT, STRIP = 802, 554, 46  # pixels: the board and what stands beside it; below it the action
SCALE = 0.8
COLORS = 128
FIRST, EACH, LAST = 1500, 320, 4000  # milliseconds that a frame stays


def frame(episode: hm.Episode, time: int) -> Image.Image:
    """The state at a time, and below it the action that the agent takes there with its probability."""
    figure = Figure(figsize=(WIDTH / 100, (HEIGHT + STRIP) / 100), dpi=100 * SCALE, facecolor=PALETTE["panel"])
    ax = figure.add_axes((0, STRIP / (HEIGHT + STRIP), 1, HEIGHT / (HEIGHT + STRIP)))
    hm.rendering.picture(jax.tree.map(lambda x: x[time], episode.states), ax, legend=False)
    over = time == len(episode)
    action = 0 if over else int(episode.actions[time])
    words = "won" if over else hm.ACTION_NAMES[action]
    height = 0.5 * STRIP / (HEIGHT + STRIP)
    figure.text(34 / WIDTH, height, words, color=PALETTE["exit" if over else "ink"], fontsize=17, weight="bold")
    if not over:
        says = f"probability {episode.probabilities[time, action]:.0%}    action {time + 1} of {len(episode)}"
        figure.text(538 / WIDTH, height, says, color=PALETTE["faint"], fontsize=12, ha="right")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
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
