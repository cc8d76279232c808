"""The house: a folder for each question, imports in one direction. Read off the syntax trees, so nothing is imported."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "gpt2hydra"

FLOORS = (
    "utils",
    "config",
    "composition",
    "sizing",
    "data",
    "checkpoint",
    "inference",
    "runs",
    "training",
    "launch",
    "commands",
)
"""From the ground up: a module may import from its own folder and from those before it."""


def modules() -> dict[str, Path]:
    """``gpt2hydra.config.errors`` → its file; packages under their own name."""
    names = {}
    for file in PACKAGE.rglob("*.py"):
        parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
        names[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return names


MODULES = modules()


def imports(module: str) -> Iterator[tuple[int, str]]:
    """``(line, module)`` of each import of this package's own modules, in functions too."""
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names if alias.name in MODULES)
        elif isinstance(node, ast.ImportFrom) and node.module in MODULES:
            for alias in node.names:
                below = f"{node.module}.{alias.name}"
                yield node.lineno, below if below in MODULES else node.module


def floor(module: str) -> int | None:
    """The number of the folder that holds a module; None for what is in no folder."""
    folder = module.split(".")[1] if "." in module else ""
    return FLOORS.index(folder) if folder in FLOORS else None


def test_each_folder_answers_a_question_of_this_list() -> None:
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and (path / "__init__.py").exists()}
    assert folders == set(FLOORS)


def test_every_folder_is_in_the_wheel() -> None:
    listed = (PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8").partition("packages = [")[2].partition("]")[0]
    folders = {".".join(file.parent.relative_to(PACKAGE.parent).parts) for file in PACKAGE.rglob("__init__.py")}
    assert set(re.findall(r'"([\w.]+)"', listed)) == folders | {"gpt2hydra.conf"}


def test_an_editable_install_is_a_path_entry() -> None:
    """It wins over a folder named gpt2hydra in the current directory, such as that of a clone; setuptools' finder does not."""
    settings = (PACKAGE.parent / "pyproject.toml").read_text(encoding="utf-8")
    assert re.search(r'\[tool\.distutils\.editable_wheel\]\nmode = "compat"', settings)


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_point_one_way(module: str) -> None:
    here = floor(module)
    up = [
        f"line {line}: {name}" for line, name in imports(module) if here is not None and (there := floor(name)) and there > here
    ]
    assert up == []


def test_no_imports_run_in_circles() -> None:
    tied = {module: {name for _, name in imports(module)} - {module} for module in MODULES if module != "gpt2hydra"}
    while True:  # take away, again and again, what imports nothing that is left, or is imported by nothing; circles remain
        imported = {name for names in tied.values() for name in names}
        free = {module for module, names in tied.items() if not names & tied.keys() or module not in imported}
        if not free:
            break
        tied = {module: names for module, names in tied.items() if module not in free}
    assert sorted(tied) == []


UNNAMED = {"_asdict", "_replace", "_exit"}
"""Methods of named tuples and ``os._exit``, which are public."""


def private_names(module: str) -> Iterator[str]:
    """``line N: name`` of each private name that is not the module's own."""
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    own = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    attributes = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)]
    own |= {node.attr for node in attributes if isinstance(node.value, ast.Name) and node.value.id == "self"}
    for node in ast.walk(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            start = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
            names = [f"{start}{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Attribute) and not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")):
            names = [] if node.attr in own else [node.attr]
        else:
            continue
        yield from (
            f"line {node.lineno}: {name}"
            for name in names
            if any(part.startswith("_") and not part.endswith("__") for part in name.split(".")) and name not in UNNAMED
        )


WITH_PRIVATE_NAMES = {"gpt2hydra.composition.hydra_compat", "gpt2hydra.composition.hydra_loader"}
"""Where a new version of Hydra is made to fit."""


def test_hydras_private_names_are_in_the_modules_for_them() -> None:
    """No other module has private names of anybody else's."""
    found = {module: [*private_names(module)] for module in MODULES.keys() - WITH_PRIVATE_NAMES}
    assert {module: names for module, names in found.items() if names} == {}


def test_hydra_is_imported_only_in_composition_and_launch() -> None:
    """Every other folder works on what has been composed."""
    trees = {module: ast.parse(file.read_text(encoding="utf-8")) for module, file in MODULES.items()}
    names = {
        module: {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
        | {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
        for module, tree in trees.items()
    }
    found = {module for module, each in names.items() if any(re.match(r"(hydra|omegaconf)\b", name or "") for name in each)}
    assert {module for module in found if module.split(".")[1] not in ("composition", "launch")} == set()


def test_each_module_has_a_mirror_in_the_tests() -> None:
    tests = Path(__file__).resolve().parent
    files = [file for file in PACKAGE.glob("*/*.py") if file.name != "__init__.py"]
    absent = [str(file.relative_to(PACKAGE)) for file in files if not (tests / file.parent.name / f"test_{file.name}").exists()]
    assert set(absent) == WITHOUT_MIRROR


WITHOUT_MIRROR = {"launch/programs.py", "commands/size.py"}
"""Modules that are tested elsewhere: as programs, with the other commands."""
