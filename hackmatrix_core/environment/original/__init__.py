"""The original game's protocol, from both sides.

The client plays the original through its own program: `program` starts it and asks it, `reading` makes arrays of its
answers, `belief` keeps the state behind them, `check` holds each step against the rules, and `env` is what learners and
agents use. The server stands in for that program: `server`, on the simulator. `wire` has the names that go over it.
"""
