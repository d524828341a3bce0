"""What the notebooks share: settings and the folder of a run, training in a cell, progress, the lessons.

With `HACKMATRIX_SMOKE=1` everything is small, so that tests can run the notebooks.
"""

# ruff: noqa: F401  # the public names
from hackmatrix_core.notebook.agents import compare, record, record_original, with_and_without_search
from hackmatrix_core.notebook.lessons import plot_channels, plot_mask, show_hardest_choice, show_worst_slip
from hackmatrix_core.notebook.measuring import measure_env, measure_training, plot_speeds, save_report
from hackmatrix_core.notebook.settings import NotebookStop, config_for, doctor, quick_config, run_directory, start
from hackmatrix_core.notebook.training import compare_runs, take_home, train, trained
