"""Resolve the locks: the pipeline's with TensorFlow's version overridden, the serving one within it."""

import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "requirements"
UV = Path(sys.prefix) / "tools" / "bin" / "uv"


def main() -> None:
    for name, constraints in (("pipeline", []), ("serving", ["--constraint", "pipeline.lock"])):
        command = [
            *(str(UV), "pip", "compile", "--quiet", f"{name}.in", "--output-file", f"{name}.lock", "--upgrade"),
            *("--python-version", "3.11", "--python-platform", "x86_64-manylinux_2_40"),
            *("--override", "override.txt", "--custom-compile-command", "make lock", *constraints),
        ]
        subprocess.run(command, cwd=FOLDER, check=True)


if __name__ == "__main__":
    main()
