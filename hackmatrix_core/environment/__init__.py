"""The game for learners: episodes, time limit, auto-reset and action mask, in the APIs that learners speak.

`gymnax_env` holds the environment, in the API of gymnax; `gymnax_v1` and `gymnasium_env` offer it in two others.
"""
