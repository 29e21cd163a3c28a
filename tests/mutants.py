"""The code, changed in one small place at a time → which changes the tests notice.

    make mutants                                            # 20 of each room, chosen by a seed
    make mutants MUTANTS='--count 10 --seed 3 runtime/matting'

A change is a swapped comparison or operator, a moved number, a flipped truth value, `and` for `or`, `min` for `max`, a
`not` left out. It is made in a copy under build/mutants. First the test file of the module's name runs, then its
room's. A test that fails, or takes far longer than it does without the change, has noticed it.

mutmut does not serve here: it names modules after their paths, and this repository's root is itself the package.
"""

from __future__ import annotations

import argparse
import ast
import os
import random
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
COPY = ROOT / "build" / "mutants" / "edgematte"
ROOMS = ("runtime/matting", "runtime/picture", "convert/onnx/ops", "convert/quantise")
GOOD_SHARE = 0.85
PATIENCE, LEAST_PATIENCE_S = 4, 60  # how much longer than usual a test may take before the change counts as noticed
SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult, ast.Mod: ast.Add,
    ast.LShift: ast.RShift, ast.RShift: ast.LShift, ast.BitAnd: ast.BitOr, ast.BitOr: ast.BitAnd,
    ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip
TWINS = {"min": "max", "any": "all", "minimum": "maximum", "floor": "ceil"}
TWINS |= {other: name for name, other in TWINS.items()}
# What says no more than a message, a type or a property of a class is left as it is.
LEFT_ALONE = (ast.Raise, ast.JoinedStr, ast.Assert, ast.Import, ast.ImportFrom)


@dataclass(frozen=True)
class Mutant:
    """One change of one file."""

    path: str  # relative to the repository
    line: int
    start: int  # bytes of the file
    end: int
    old: str
    new: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: `{' '.join(self.old.split())}` → `{' '.join(self.new.split())}`"


def mutants(path: Path) -> list[Mutant]:
    """Every change that one file offers."""
    source = path.read_bytes()
    lines = [0]
    for line in source.splitlines(keepends=True):
        lines.append(lines[-1] + len(line))
    found = []
    for node, new in _changes(ast.parse(source)):
        start = lines[node.lineno - 1] + node.col_offset
        end = lines[(node.end_lineno or node.lineno) - 1] + (node.end_col_offset or 0)
        old = source[start:end].decode()
        text = ast.unparse(new) if isinstance(new, ast.stmt) else f"({ast.unparse(new)})"
        found.append(Mutant(path.relative_to(ROOT).as_posix(), node.lineno, start, end, old, text))
    return found


def _changes(tree: ast.AST) -> Iterator[tuple[ast.expr | ast.stmt, ast.AST]]:
    """(what stands there, what shall stand there instead)."""
    for node in _mutable(tree):
        if isinstance(node, ast.Compare) and len(node.ops) == 1:
            yield node, ast.Compare(node.left, [SWAPS[type(node.ops[0])]()], node.comparators)
        elif isinstance(node, ast.BinOp) and type(node.op) in SWAPS:
            yield node, ast.BinOp(node.left, SWAPS[type(node.op)](), node.right)
        elif isinstance(node, ast.AugAssign) and type(node.op) in SWAPS:
            yield node, ast.AugAssign(node.target, SWAPS[type(node.op)](), node.value)
        elif isinstance(node, ast.BoolOp):
            yield node, ast.BoolOp(SWAPS[type(node.op)](), node.values)
        elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub):
            yield node, node.operand
        elif isinstance(node, ast.Constant) and isinstance(node.value, bool):
            yield node, ast.Constant(not node.value)
        elif isinstance(node, ast.Constant) and isinstance(node.value, int | float):
            yield node, ast.Constant(node.value + 1 if isinstance(node.value, int) else node.value * 2 or 1.0)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in TWINS:
            yield node, ast.Call(ast.Name(TWINS[node.func.id]), node.args, node.keywords)
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in TWINS:
            yield node, ast.Call(ast.Attribute(node.func.value, TWINS[node.func.attr]), node.args, node.keywords)


def _mutable(node: ast.AST) -> Iterator[ast.AST]:
    yield node
    for name, value in ast.iter_fields(node):
        if name in ("annotation", "returns", "decorator_list", "type_params", "slice" if _is_type(node) else ""):
            continue
        for child in value if isinstance(value, list) else [value]:
            if isinstance(child, ast.AST) and not isinstance(child, LEFT_ALONE):
                yield from _mutable(child)


def _is_type(node: ast.AST) -> bool:
    """`NDArray[…]`, `list[…]`: a subscript of a type."""
    return isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name) and (
        node.value.id[0].isupper() or node.value.id in ("list", "dict", "tuple", "set")
    )  # fmt: skip


def copy_tree() -> None:
    """The files that git knows, as they are in the working tree."""
    shutil.rmtree(COPY, ignore_errors=True)
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True).stdout
    for name in filter(None, listed.decode().split("\0")):
        if (ROOT / name).is_file():
            (COPY / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, COPY / name)


def run_tests(tests: Path, timeout_s: float | None = None) -> bool:
    """Whether all tests below a path of the copy pass, in time."""
    # Without bytecode: it would be taken for the changed file's, whose time and size may be the same.
    environment = {**os.environ, "PYTHONPATH": str(COPY.parent), "PYTHONDONTWRITEBYTECODE": "1"}
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", str(tests)]
    try:
        return not subprocess.run(
            command, cwd=COPY, env=environment, capture_output=True, timeout=timeout_s, check=False
        ).returncode
    except subprocess.TimeoutExpired:
        return False


class Judge:
    """Runs tests on mutants, and knows how long they take without."""

    def __init__(self) -> None:
        self._usual_s: dict[Path, float] = {}

    def notices(self, mutant: Mutant) -> bool:
        """Whether any test fails on it."""
        module = Path(mutant.path)
        room = Path("tests") / module.parent
        own = room / f"test_{module.stem}.py"
        whole = (COPY / mutant.path).read_bytes()
        for tests in (own, room):
            if not (COPY / tests).exists():
                continue
            patience_s = max(LEAST_PATIENCE_S, PATIENCE * self._usual(tests))
            try:
                (COPY / mutant.path).write_bytes(whole[: mutant.start] + mutant.new.encode() + whole[mutant.end :])
                if not run_tests(tests, patience_s):
                    return True
            finally:
                (COPY / mutant.path).write_bytes(whole)
        return False

    def _usual(self, tests: Path) -> float:
        if tests not in self._usual_s:
            began_s = time.perf_counter()
            if not run_tests(tests):
                sys.exit(f"{tests} fails without any change; mend that first")
            self._usual_s[tests] = time.perf_counter() - began_s
        return self._usual_s[tests]


def main(words: Sequence[str] | None = None) -> int:
    """1 where the tests notice fewer changes than they should."""
    parser = argparse.ArgumentParser(description="Which small changes of the code do the tests notice?")
    parser.add_argument("paths", nargs="*", default=ROOMS, help="folders or files; default: %(default)s")
    parser.add_argument("--count", type=int, default=20, help="changes of each path, at most; default: %(default)s")
    parser.add_argument("--seed", type=int, default=0, help="chooses which; default: %(default)s")
    asked = parser.parse_args(words)
    copy_tree()
    judge, survivors, table = Judge(), list[Mutant](), list[tuple[str, int, int]]()
    for name in asked.paths:
        files = [ROOT / name] if name.endswith(".py") else sorted((ROOT / name).glob("*.py"))
        offered = [mutant for file in files for mutant in mutants(file)]
        chosen = random.Random(asked.seed).sample(offered, min(asked.count, len(offered)))
        lived = []
        for mutant in chosen:
            noticed = judge.notices(mutant)
            print(f"{'noticed' if noticed else 'SURVIVED'} {mutant}", flush=True)
            lived += [] if noticed else [mutant]
        survivors += lived
        table.append((name, len(chosen), len(chosen) - len(lived)))
    table.append(("all", sum(tried for _, tried, _ in table), sum(noticed for _, _, noticed in table)))
    print("\n| room | changes | noticed | share |\n|---|---|---|---|")
    for name, tried, noticed in table:
        print(f"| {name} | {tried} | {noticed} | {noticed / max(1, tried):.2f} |")
    print(*("", *survivors), sep="\n")
    _, tried, noticed = table[-1]
    return int(noticed < GOOD_SHARE * tried)


if __name__ == "__main__":
    sys.exit(main())
