"""A person plays: one session, shown in a terminal here and in a notebook by `notebook.game_in_a_cell`."""
