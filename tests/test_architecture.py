"""Who may import whom, read from the files' text: the arrows of the design, and its house rules.

.venv/bin/python -m pytest tests/test_architecture.py
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("suite", "generators", "tasks")
DRAWERS = ("generators", "tasks", "suite.masking", "suite.objectives", "suite.probes")

# A module imports from lower levels only. The modules of one line may know each other where the line
# is marked "together"; a package on a line is itself together.
LEVELS: tuple[tuple[float, bool, tuple[str, ...]], ...] = (
    (6, True, ("suite.cli", "suite.verbs", "suite.__main__", "suite.help")),
    (
        5,
        True,
        (
            *("suite.compare", "suite.comparison", "suite.gallery"),
            *(
                "suite.ablate",
                "suite.ablation",
                "suite.trials",
                "suite.study",
                "suite.study_runs",
                "suite.outcome",
            ),
            *("suite.properties", "suite.fetch"),
        ),
    ),
    (4.5, False, ("suite.analysis",)),
    (4, True, ("suite.configuration",)),
    (3.7, False, ("suite.clip_probe",)),
    (3.5, False, ("suite.frozen", "suite.views")),
    (4, False, ("suite.pretrain", "suite.evaluate", "suite.preview", "suite.verify")),
    (3.8, True, ("suite.export", "suite.model_card")),
    (3.2, False, ("suite.judged", "suite.hear_api")),
    (3, False, ("suite.experiment", "suite.doctor", "suite.frame_probe", "suite.tokens")),
    (1.5, False, ("suite.health",)),
    (2, False, ("suite.registry", "suite.step", "suite.frames", "suite.sounds", "suite.answered")),
    (
        1,
        False,
        (
            "suite.objectives",
            "suite.probes",
            "suite.stream",
            "suite.embed",
            "suite.report",
            "suite.optimiser",
            "suite.leakage",
        ),
    ),
    (0.5, False, ("suite.pools",)),
    (
        0,
        True,
        (
            *("suite.blocks", "suite.stem", "suite.stem_convolution"),
            *("suite.frontend", "suite.encoder", "suite.machine", "suite.checkpoint", "suite.metrics"),
            *("suite.decode", "suite.rows", "suite.drawers", "suite.progress", "suite.conf"),
            *("suite.studies", "suite.axes", "suite.journal", "suite.values"),
            *("suite.scoring", "suite.recipe", "suite.complaints", "suite.pooling"),
            *("suite.chunks", "suite.kept", "suite.clock"),
            *("suite.foreign", "suite.hear_naive", "suite.timm_weights"),
        ),
    ),
    (0, False, ("suite.masking",)),
    (-1, False, ("generators", "tasks")),
)

# The one arrow between the two libraries: AudioSet's lists, of millions of rows, have one reader, which
# the task asks for when it is read. Without generators all other tasks work.
SHARED = {
    ("tasks.audioset", "generators.drawer"),
    ("tasks.audioset", "generators.real.segments"),
    ("tasks.audioset", "generators.real.segment_index"),
}

# Third-party libraries that stay in few rooms, and the rooms.
ROOMS = {
    "hydra": ("suite.cli", "suite.configuration", "suite.registry"),
    "omegaconf": ("suite.verbs", "suite.configuration", "suite.registry"),
    "optuna": (
        "suite.ablate",
        "suite.trials",
        "suite.study",
        "suite.journal",
        "suite.outcome",
        "suite.study_runs",
    ),
    "matplotlib": (
        *(f"suite.report.{name}" for name in ("plots", "panels", "heatmap", "bumps")),
        *(f"suite.report.{name}" for name in ("ablation_figures", "effect_plots", "search_plots")),
        *("suite.preview", "suite.analysis"),
    ),
    "seaborn": (
        *(f"suite.report.{name}" for name in ("plots", "panels", "ablation_figures")),
        *("suite.preview", "suite.analysis"),
    ),
}

NAMES_THAT_SAY_NOTHING = {
    *("utils", "util", "helpers", "helper", "manager", "managers", "misc", "common", "core"),
}


When = Literal["at once", "later", "types"]


@dataclass(frozen=True)
class Import:
    """One imported module, and when: with the file, when a function runs, or for its types only."""

    module: str
    when: When
    star: bool = False


@dataclass(frozen=True)
class File:
    """One Python file of ours, as read."""

    path: Path
    module: str
    text: str
    tree: ast.Module

    @property
    def name(self) -> str:
        return str(self.path.relative_to(ROOT))


@cache
def files() -> dict[str, File]:
    """Every Python file of the three packages, by module name."""
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            module = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
            text = path.read_text(encoding="utf-8")
            found[module] = File(path, module, text, ast.parse(text))
    return found


def statements(
    tree: ast.AST, when: When = "at once"
) -> Iterator[tuple[ast.Import | ast.ImportFrom, When]]:
    """Every import statement below ``tree``, and when it runs."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            yield node, when
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            yield from statements(node, "types")
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
            yield from statements(node, "types" if when == "types" else "later")
        else:
            yield from statements(node, when)


@cache
def imports(module: str) -> tuple[Import, ...]:
    """What a module of ours imports, as absolute names: ``from suite import rows`` is suite.rows."""
    file = files()[module]
    package = module if file.path.name == "__init__.py" else module.rpartition(".")[0]
    found = []
    for node, when in statements(file.tree):
        if isinstance(node, ast.Import):
            found += [Import(alias.name, when) for alias in node.names]
            continue
        base = node.module or ""
        if node.level:
            above = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join([*above, base] if base else above)
        for alias in node.names:
            deeper = f"{base}.{alias.name}"
            found.append(Import(deeper if deeper in files() else base, when, alias.name == "*"))
    return tuple(found)


def inside(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


def ours(module: str) -> bool:
    return module.split(".")[0] in PACKAGES


def standing(module: str) -> tuple[float, bool, str]:
    """A module's level, whether its line is together, and the line's entry that it belongs to."""
    for level, together, names in LEVELS:
        for name in names:
            if inside(module, name):
                return level, together, name
    raise AssertionError(f"{module} has no level: give it one in tests/test_architecture.py, LEVELS")


def closure(start: str, *kinds: When) -> dict[str, str]:
    """Every module reached from ``start`` by imports of these kinds, with the module that imports it.

    Importing a module imports its packages too, but calls none of their functions.
    """
    reached, waiting = {start: ""}, [(start, kinds)]
    while waiting:
        module, followed = waiting.pop()
        if module not in files():
            continue
        found = {item.module: kinds for item in imports(module) if item.when in followed}
        if "." in module:
            found.setdefault(module.rpartition(".")[0], ("at once",))
        for name, of_it in found.items():
            if name not in reached:
                reached[name] = module
                waiting.append((name, of_it))
    return reached


def libraries(reached: dict[str, str]) -> dict[str, str]:
    """Top-level names of the libraries among the modules reached, with one module that imports each."""
    return {module.split(".")[0]: by for module, by in reached.items() if not ours(module)}


everywhere = pytest.mark.parametrize("module", sorted(files()))


# ---------------------------------------------------------------------------------------------------
# Arrows


def test_the_reader_sees_lazy_relative_and_aliased_imports() -> None:
    tree = ast.parse("import a.b\nif TYPE_CHECKING:\n    import c\ndef f():\n    from d import e\n")
    found = [(ast.unparse(node), when) for node, when in statements(tree)]
    assert found == [("import a.b", "at once"), ("import c", "types"), ("from d import e", "later")]
    assert "generators.dsp" in {found.module for found in imports("generators.sounds.procedural")}
    assert "suite.rows" in {found.module for found in imports("suite.report")}


@everywhere
def test_a_module_imports_only_from_below(module: str) -> None:
    if module == "suite":
        assert not [
            found.module for found in imports(module) if ours(found.module) and found.when == "at once"
        ]
        return
    level, together, place = standing(module)
    for found in imports(module):
        if not ours(found.module) or found.module == "suite" or (module, found.module) in SHARED:
            continue
        below, _, other = standing(found.module)
        neighbours = level == below and (place == other or (together and standing(found.module)[1]))
        assert below < level or neighbours, f"{module} imports {found.module}, which is not below it"


def test_the_modules_import_each_other_in_no_circle() -> None:
    for start in files():
        seen: set[str] = set()
        waiting = [found.module for found in imports(start) if found.module in files()]
        while waiting:
            module = waiting.pop()
            assert module != start, f"{start} imports itself, by way of others"
            if module not in seen:
                seen.add(module)
                waiting += [found.module for found in imports(module) if found.module in files()]


@pytest.mark.parametrize("library", ["generators", "tasks"])
def test_generators_and_tasks_are_libraries_of_their_own(library: str) -> None:
    for module in files():
        if inside(module, library):
            strangers = [
                f.module
                for f in imports(module)
                if ours(f.module)
                and not inside(f.module, library)
                and (f.when == "at once" or (module, f.module) not in SHARED)
            ]
            assert not strangers, f"{module} imports {strangers}: {library} must be useful alone"


@pytest.mark.parametrize("drawer", DRAWERS)
def test_an_entry_of_a_drawer_names_the_siblings_it_is_made_of(drawer: str) -> None:
    siblings = [module for module in files() if inside(module, drawer) and module != drawer]
    assert f"{drawer}.base" in siblings
    for module in siblings:
        own = {found.module for found in imports(module) if inside(found.module, drawer)}
        assert drawer not in own, f"{module} imports its whole drawer; name the sibling"
        if module == f"{drawer}.base":
            assert own <= {f"{drawer}.drawer"}, f"{module} knows its entries: {sorted(own)}"
    own = {found.module for found in imports(drawer) if inside(found.module, drawer)}
    shared = {f"{drawer}.base", f"{drawer}.drawer", "tasks.held_out"}  # the last: any task, less a fold
    assert own <= shared, f"{drawer} imports entries; they load by name"


@everywhere
def test_no_entry_is_imported_by_name_from_outside_its_drawer(module: str) -> None:
    for found in imports(module):
        for drawer in DRAWERS:
            if not inside(found.module, drawer) or inside(module, drawer) or found.module == drawer:
                continue
            assert found.module in files(), found.module
            registers = [
                node.name
                for node in files()[found.module].tree.body
                if isinstance(node, ast.ClassDef) and any(word.arg == "name" for word in node.keywords)
            ]
            assert not registers, f"{module} imports the entry {found.module}; ask its drawer for it"


def test_pretrain_and_evaluate_meet_only_through_a_checkpoint() -> None:
    assert "suite.evaluate" not in closure("suite.pretrain", "at once", "later")
    assert "suite.pretrain" not in closure("suite.evaluate", "at once", "later")


def test_the_report_needs_neither_torch_nor_a_configuration() -> None:
    for module in [*(name for name in files() if inside(name, "suite.report")), "suite.verify"]:
        found = libraries(closure(module, "at once", "later"))
        heavy = {"torch", "torchvision", "timm", "hydra", "omegaconf", "soundfile", "soxr"} & set(found)
        assert not heavy, f"{module} reaches {', '.join(f'{name} by {found[name]}' for name in heavy)}"


@everywhere
def test_a_library_stays_in_its_rooms(module: str) -> None:
    for found in imports(module):
        if found.when == "types":  # a name in an annotation loads nothing
            continue
        library = found.module.split(".")[0]
        allowed = ROOMS.get(library, (module,))
        assert any(inside(module, room) for room in allowed), f"{module} imports {library}"


@everywhere
def test_nothing_is_imported_by_star(module: str) -> None:
    assert not [found.module for found in imports(module) if found.star]


def test_the_door_opens_without_the_heavy_libraries() -> None:
    found = libraries(closure("suite.cli", "at once"))
    heavy = {"torch", "timm", "pandas", "hydra", "omegaconf", "matplotlib", "sklearn", "scipy"} & set(
        found
    )
    assert not heavy, f"imported at once: {', '.join(f'{name} by {found[name]}' for name in heavy)}"


def test_help_imports_neither_torch_nor_pandas() -> None:
    command = [sys.executable, "-X", "importtime", "-m", "suite", "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "sourcebench" in done.stdout
    imported = set(re.findall(r"^import time:.*\|\s+(\w+)\s*$", done.stderr, flags=re.MULTILINE))
    assert "argparse" in imported or "ast" in imported, "the list of imports was not read"
    assert not {"torch", "pandas", "hydra", "matplotlib"} & imported


# ---------------------------------------------------------------------------------------------------
# House rules


@everywhere
def test_a_file_opens_with_what_it_is_for(module: str) -> None:
    docstring = ast.get_docstring(files()[module].tree)
    assert docstring, f"{files()[module].name} has no docstring"
    assert docstring.splitlines()[0].rstrip().endswith((".", ":", "?")), docstring.splitlines()[0]


@everywhere
def test_a_long_file_gives_its_reason(module: str) -> None:
    file = files()[module]
    length = len(file.text.splitlines())
    reason = "300 lines" in (ast.get_docstring(file.tree) or "")
    assert length <= 300 or reason, (
        f"{file.name} has {length} lines: part it, or say in its docstring why it has over 300 lines"
    )


@everywhere
def test_a_module_has_a_name_that_says_something(module: str) -> None:
    words = module.split(".")
    assert not NAMES_THAT_SAY_NOTHING & set(words)
    assert words[-1] not in sys.stdlib_module_names, f"{module} is named like the standard library's"


@everywhere
def test_public_functions_and_classes_have_docstrings(module: str) -> None:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    public = [
        node
        for node in files()[module].tree.body
        if isinstance(node, kinds) and not node.name.startswith("_")
    ]
    bare = [node.name for node in public if not ast.get_docstring(node)]
    assert not bare, f"{files()[module].name}: {', '.join(bare)} without a docstring"


@pytest.mark.parametrize("name", ["drawer.py", "audio.py"])
def test_the_two_libraries_carry_the_same_copy(name: str) -> None:
    copies = [(ROOT / library / name).read_bytes() for library in ("generators", "tasks")]
    assert copies[0] == copies[1], f"generators/{name} and tasks/{name} differ: change both"


def test_tests_are_no_package() -> None:
    assert not list((ROOT / "tests").rglob("__init__.py")), "a top-level `tests` shadows others'"
