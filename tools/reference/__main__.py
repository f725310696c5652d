"""Writes the reference values that the tests compare the Rust code with.

Usage: python tools/reference [sampler|adaptive|models|operations|tokenizer|prompts|weights|names|quantization|
       adapter|adapters|lycoris|metrics|pictures|diversity|estimates|torch_files|all]

Each name runs the script of that name in tools/reference/, with the packages pinned in
tools/reference/requirements.txt. The values are committed, so that the tests need no Python.
"""

import runpy
import sys
from pathlib import Path

NAMES = (
    "sampler",
    "adaptive",
    "models",
    "operations",
    "tokenizer",
    "prompts",
    "weights",
    "names",
    "quantization",
    "adapter",
    "adapters",
    "lycoris",
    "metrics",
    "pictures",
    "diversity",
    "estimates",
    "torch_files",
)
FOLDER = Path(__file__).resolve().parent


def main() -> None:
    chosen = sys.argv[1:] or ["all"]
    unknown = [name for name in chosen if name not in (*NAMES, "all")]
    if unknown:
        sys.exit(f"Unknown: {', '.join(unknown)}. Usage: python tools/reference [{'|'.join(NAMES)}|all]")
    # The scripts import their siblings by plain name, as they do when they are run directly.
    sys.path.insert(0, str(FOLDER))
    for name in NAMES:
        if name in chosen or "all" in chosen:
            print(f"== {name}", flush=True)
            runpy.run_path(str(FOLDER / f"{name}.py"), run_name="__main__")


if __name__ == "__main__":
    main()
