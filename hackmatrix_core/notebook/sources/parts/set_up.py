# %% cellView="form" jupyter={"source_hidden": true} tags=["nbval-ignore-output"]
# @title Set up: run this first
import os
import subprocess
import sys

if "google.colab" in sys.modules:
    folder = "/content/hackmatrix-jax"
    clone = f"git clone --quiet --depth=1 https://github.com/hackmatrix-jax/hackmatrix-jax {folder}"
    for command in ([] if os.path.exists(folder) else [clone]) + [f"bash {folder}/colab_setup.sh"]:
        with subprocess.Popen(command.split(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
            for line in process.stdout:
                print(line, end="", flush=True)
        if process.returncode:
            raise SystemExit(
                "Set-up failed (see above). Run this cell again; if that does not help, get a new runtime."
            )
    sys.path.insert(0, folder)
try:
    import hackmatrix_core as hm
except ModuleNotFoundError:
    raise SystemExit("This kernel does not have the package. Close it and run: bash colab_setup.sh lab") from None
