"""The original game, played through its own program: the client.

`program` starts it and asks it, `reading` makes arrays of its answers, `belief` keeps the state behind them, `check`
holds each step against the rules, and `env` is what learners and agents use.
"""
