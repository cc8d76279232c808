"""Continue a prompt: ``python generate.py checkpoint=RUN_DIR prompt="The "``, or ``python generate.py --help``."""

from gpt2hydra.launch.entry_points import generate

if __name__ == "__main__":
    generate()
