"""Games are recorded as they were played, and the player shows them, in a browser that really runs it."""

import dataclasses
import html
import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hackmatrix_core as hm
from hackmatrix_core.agent.network import ActorCritic
from hackmatrix_core.agent.policy import NetworkPolicy
from hackmatrix_core.game.actions import ACTION_NAMES, NUM_ACTIONS
from hackmatrix_core.viewing.board.shapes import ground, legend_shapes
from hackmatrix_core.viewing.board.svg import elements

KEY = jax.random.key(5)


@pytest.fixture(scope="module")
def network():
    network = ActorCritic(NUM_ACTIONS, 16, 1)
    return NetworkPolicy(network.init(jax.random.key(0), jnp.zeros(1545, jnp.float32)), network)


@pytest.fixture(scope="module")
def episode(network):
    return hm.record(network, KEY, max_actions=40)


@pytest.fixture(scope="module")
def page(episode):
    return hm.replay(episode, "A <game>").page


def data_of(page):
    return json.loads(re.search(r'<script type="application/json" id="episode">(.*?)</script>', page, re.S)[1])


def board_of(data, time):
    return "".join(data["pieces"][index] for index in data["frames"][time])


def at(tree, time):
    return jax.tree.map(lambda x: x[time], tree)


def test_a_record_holds_the_game_as_it_was_played(episode, network):
    assert 1 <= len(episode) <= 40
    assert episode.states.stage.shape == (len(episode) + 1,)
    mask, observe = jax.jit(hm.get_valid_actions), jax.jit(hm.observe)
    for time, action in enumerate(episode.actions):
        state = at(episode.states, time)
        np.testing.assert_array_equal(episode.action_masks[time], mask(state))
        assert episode.action_masks[time, action]
        distribution, value = network.distribution(observe(state), episode.action_masks[time])
        np.testing.assert_allclose(episode.probabilities[time], distribution.probs, atol=1e-5)
        np.testing.assert_allclose(episode.values[time], value, atol=1e-4)
        assert (episode.probabilities[time][~episode.action_masks[time]] == 0).all()
    ended = episode.outcomes.terminated
    assert not ended[:-1].any()
    assert ended[-1] or len(episode) == 40
    # What an action brought lies between the states around it.
    completed = np.diff(episode.states.stage) == 1
    np.testing.assert_array_equal(completed, episode.outcomes.stage_completed & ~episode.outcomes.won)


def test_the_key_decides_the_game(episode, network):
    again, other = hm.record(network, KEY, max_actions=40), hm.record(network, jax.random.key(6), max_actions=2)
    jax.tree.map(np.testing.assert_array_equal, vars(again), vars(episode))
    assert len(other) == 2
    assert (other.states.cells[0] != episode.states.cells[0]).any()
    with pytest.raises(ValueError, match="max_actions is 0, expected at least 1"):
        hm.record(network, KEY, max_actions=0)


def test_the_page_holds_every_frame_and_nothing_from_outside(page, episode):
    data = data_of(page)
    assert len(data["frames"]) == len(data["stages"]) == len(episode) + 1
    for time in range(len(episode) + 1):
        whole = hm.rendering.svg(at(episode.states, time))
        assert elements(ground()) + board_of(data, time) + elements(legend_shapes()) in whole
    for time, step in enumerate(data["steps"]):
        assert step["action"] == episode.actions[time]
        assert sum(step["parts"].values()) == pytest.approx(float(episode.outcomes.reward[time]), abs=2e-3)
        assert [action for action, _ in step["probabilities"]] == np.flatnonzero(episode.action_masks[time]).tolist()
    assert "<h1>A &lt;game&gt;</h1>" in page
    assert not re.findall(r"(?:src|href)=|@import|fetch\(", page)
    assert set(re.findall(r"https?://[^\"\s]+", page)) == set()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"won": True, "terminated": True}, "Won with a score of "),
        ({"died": True, "terminated": True}, "Died in stage 1."),
        ({"invalid": True, "terminated": True}, "Ended in stage 1 by an invalid action"),
        ({}, "Cut off in stage 1 after 1 actions."),
    ],
)
def test_the_page_says_how_the_game_ended(episode, change, words):
    plain = dict.fromkeys(("won", "died", "invalid", "terminated"), False) | change
    flags = {name: np.array([value]) for name, value in plain.items()}
    cut = hm.Episode(
        jax.tree.map(lambda x: x[:2], episode.states),
        episode.actions[:1],
        episode.action_masks[:1],
        jax.tree.map(lambda x: x[:1], episode.outcomes)._replace(**flags),
    )
    data = data_of(hm.replay(cut).page)
    assert data["end"].startswith(words)
    assert "probabilities" not in data["steps"][0]


def test_a_replay_is_saved_and_shown_in_a_notebook(page, episode, tmp_path):
    shown = hm.replay(episode, "A <game>")
    assert shown.save(tmp_path / "new" / "game.html").read_text(encoding="utf-8") == page
    whole = shown._repr_html_()
    assert whole.startswith("<iframe srcdoc=")
    # Without the page (on GitHub, in a notebook that is not trusted) there is a picture of a full board.
    inside, beside = whole.rpartition("</iframe>")[::2]
    assert 'src="data:image/png;base64,iVBOR' in beside
    for place in (inside.rpartition(">")[2], beside):
        assert re.search(r"Action \d+ of 40, in stage \d: \w+", place)
    crowd = np.count_nonzero(episode.states.entities, axis=1)
    assert np.count_nonzero(shown.moment.entities) == crowd[:-1].max() > crowd[0]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_player_plays_in_a_browser(browser, page, episode, scheme, tmp_path):
    (tmp_path / "game.html").write_text(page, encoding="utf-8")
    data = data_of(page)
    tab = browser.new_page(color_scheme=scheme)
    errors = []
    tab.on("pageerror", lambda error: errors.append(str(error)))
    tab.goto((tmp_path / "game.html").as_uri())
    count, board, action = (tab.locator(name) for name in ("#count", "#board", "#action"))
    end = len(episode)

    def is_at(time):
        assert count.text_content() == f"action {time} of {end}"
        texts = re.findall("<text[^>]*>(.*?)</text>", board_of(data, time))
        assert board.locator("text").all_text_contents() == list(map(html.unescape, texts))
        if time < end:
            assert action.text_content().split(" ")[0] == ACTION_NAMES[episode.actions[time]]
            chances = [row.text_content() for row in tab.locator(".choice").all()]
            assert len(chances) == episode.action_masks[time].sum()
            chance = f"{100 * episode.probabilities[time, episode.actions[time]]:.1f} %"
            assert tab.locator(".chosen b").text_content() == chance

    is_at(0)
    tab.keyboard.press("ArrowRight")
    is_at(1)
    tab.click("#next")
    is_at(2)
    tab.keyboard.press("ArrowLeft")
    is_at(1)
    tab.keyboard.press("End")
    is_at(end)
    assert action.text_content() == data["end"]
    tab.locator("#time").fill("3")
    is_at(3)
    tab.click("#first")
    tab.locator("#speed").select_option("25")
    tab.click("#play")
    tab.wait_for_function(f"document.getElementById('count').textContent === 'action {end} of {end}'", timeout=20_000)
    assert tab.locator("#play").text_content() == "Play"
    background = tab.evaluate("getComputedStyle(document.body).backgroundColor")
    assert background == {"light": "rgb(255, 255, 255)", "dark": "rgb(16, 20, 27)"}[scheme]
    assert errors == []
    tab.close()


def test_a_search_is_shown_beside_the_network(browser, network, tmp_path):
    episode = hm.record(hm.SearchPolicy(network, num_simulations=3), KEY, max_actions=4)
    thoughts = episode.thoughts
    np.testing.assert_array_equal(thoughts.action, episode.actions)
    np.testing.assert_allclose(thoughts.network_policy, episode.probabilities, atol=1e-5)
    page = hm.replay(episode).save(tmp_path / "game.html")
    tab = browser.new_page()
    tab.goto(page.as_uri())
    rows = [row.locator("span, b").all_text_contents() for row in tab.locator(".choice:not(.head)").all()]
    valid = np.flatnonzero(episode.action_masks[0])
    assert [row[0] for row in rows] == [ACTION_NAMES[action] for action in valid]
    for (_, before, improved, visits, value), action in zip(rows, valid, strict=True):
        assert before == f"{100 * thoughts.network_policy[0, action]:.1f} %"
        assert improved == f"{100 * thoughts.policy[0, action]:.1f} %"
        assert visits == str(thoughts.visits[0, action] or "")
        shown = float(value.replace("−", "-")) if value else 0
        assert shown == pytest.approx(float(thoughts.action_values[0, action]), abs=0.0051)
    assert tab.locator("#reward").text_content().count("value that the") == 2
    assert (
        tab.locator("#unit").text_content() == "Value: the rewards still to come, 1.0% less for each action until then."
    )
    tab.close()


@pytest.mark.parametrize("width", [230, 300, 390, 1000])
@pytest.mark.parametrize("searches", [False, True])
def test_on_a_phone_all_words_and_numbers_are_seen(browser, episode, network, tmp_path, width, searches):
    """A cell of JupyterLab leaves some 240 of a phone's 390 pixels."""
    if searches:
        episode = hm.record(hm.SearchPolicy(network, num_simulations=3), KEY, max_actions=4)
        longer = episode.thoughts._replace(action_values=episode.thoughts.action_values + 15)
        episode = dataclasses.replace(episode, thoughts=longer)
    tab = browser.new_page(viewport={"width": width, "height": 900})
    tab.goto(hm.replay(episode).save(tmp_path / "game.html").as_uri())
    for _ in range(4):
        cut = tab.evaluate(
            """() => [...document.querySelectorAll("#right *:not(svg *), .controls *, #count")].filter(element => {
                const box = element.getBoundingClientRect();
                return box.width && (box.right > innerWidth || element.scrollWidth > element.clientWidth + 1
                    && getComputedStyle(element).display !== "inline");
            }).map(element => element.outerHTML.slice(0, 100))"""
        )
        assert cut == []
        assert tab.evaluate("document.documentElement.scrollWidth") <= width
        words = tab.locator("#panel text")
        assert words.all_text_contents()[:2] == ["stage", "1/8"]
        assert words.first.is_visible() == (width < 1000)  # else it stands beside the board
        assert width == 1000 or words.first.evaluate("text => text.getBoundingClientRect().height") > 12
        tab.click("#next")
    tab.close()


@pytest.mark.parametrize(("ink", "background"), [("#222", "rgb(255, 255, 255)"), ("#eee", "rgb(16, 20, 27)")])
def test_in_a_notebook_the_player_has_its_theme_and_the_height_that_it_needs(browser, episode, ink, background):
    tab = browser.new_page(color_scheme="dark" if ink == "#222" else "light")
    tab.set_content(f'<div style="color: {ink}">{hm.replay(episode)._repr_html_()}</div>')
    tab.wait_for_function("parseFloat(document.querySelector('iframe').style.height) !== 860")
    assert tab.locator("img").count() == 0
    body = tab.frame_locator("iframe").locator("body")
    assert body.evaluate("body => getComputedStyle(body).backgroundColor") == background
    assert body.evaluate("body => body.offsetHeight === frameElement.offsetHeight")
    tab.locator("div").first.evaluate(f"element => element.style.color = '{'#eee' if ink == '#222' else '#222'}'")
    other = {"rgb(255, 255, 255)": "rgb(16, 20, 27)"}.get(background, "rgb(255, 255, 255)")
    tab.wait_for_function(
        "color => getComputedStyle(document.querySelector('iframe').contentDocument.body).backgroundColor === color",
        arg=other,
    )
    tab.close()
