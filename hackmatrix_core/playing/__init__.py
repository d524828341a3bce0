"""A person plays: one session, shown in a notebook or in a terminal."""
