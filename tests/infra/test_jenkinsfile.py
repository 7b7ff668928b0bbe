"""Guards the Jenkinsfile: what Jenkins accepts in silence and would do wrong, or not at all.

Every shell step is one call of make with targets that the Makefile has, every stage has a timeout
of its own and says how to repeat it by hand, nothing asks for approval where it has no business to,
and production is reached from main, through an approval by named people, and no other way.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MAKE_CALL = re.compile(r"make(?P<targets>( [a-z][a-z-]*)+)(?P<variables>( [A-Z_]+=[\w.-]+)*)")
ORDER = [
    "tools",
    "lint",
    "types",
    "unit",
    "test-processes",
    "test-web",
    "test-postgresql",
    "test-browser",
    "molecule",
    "images",
    "test-fleet",
    "deploy",
]

Check = Callable[[str], list[str]]


@dataclass
class Block:
    """A ``name(argument) { … }`` of the file, with the statements that stand directly in it."""

    name: str
    argument: str
    line: int
    alone: bool
    parent: Block | None
    children: list[Block] = field(default_factory=list)
    statements: list[str] = field(default_factory=list)

    def all(self, name: str) -> Iterator[Block]:
        """Yield the blocks of a name, however deep."""
        for child in self.children:
            if child.name == name:
                yield child
            yield from child.all(name)

    def own(self, *names: str) -> Block | None:
        """Return the block at a path of names below this one, if there is one."""
        block: Block | None = self
        for name in names:
            found = [child for child in block.children if child.name == name] if block else []
            block = found[0] if found else None
        return block

    def says(self, pattern: str) -> bool:
        """Return whether a statement of the block matches a pattern from its beginning."""
        return any(re.match(pattern, statement) for statement in self.statements)

    def __str__(self) -> str:
        """Return what a person needs to find the block."""
        return f"line {self.line}, {self.name}{self.argument}"


def mask(source: str) -> str:
    """Return the source with comments blanked and the insides of strings replaced, same length."""
    token = re.compile(
        r"(?P<comment>//[^\n]*|/\*.*?\*/)"
        r"|(?P<string>'''.*?'''|\"\"\".*?\"\"\"|'(?:\\.|[^'\\\n])*'|\"(?:\\.|[^\"\\\n])*\")",
        re.DOTALL,
    )

    def replace(match: re.Match[str]) -> str:
        found = match.group()
        if match.group("comment"):
            return re.sub(r"[^\n]", " ", found)
        return found[0] + re.sub(r"[^\n]", "_", found[1:-1]) + found[-1]

    return token.sub(replace, source)


def parse(source: str) -> Block:
    """Return the tree of blocks in a Jenkinsfile, its root a block without a name."""
    hidden = mask(source)
    lines = hidden.split("\n")
    root = Block("", "", 1, True, None)
    current, start = root, 0

    def keep(end: int) -> None:
        text, shape = source[start:end], hidden[start:end]
        # A statement goes on over lines while a parenthesis is open.
        depth, statement = 0, ""
        for line, form in zip(text.split("\n"), shape.split("\n"), strict=True):
            if not form.strip():
                continue
            statement += " " + line[: len(form.rstrip())].strip()
            depth += form.count("(") - form.count(")")
            if depth <= 0:
                current.statements.append(statement.strip())
                statement = ""

    for match in re.finditer(r"[{}]", hidden):
        at = match.start()
        if match.group() == "{":
            begin = max(hidden.rfind(mark, 0, at) for mark in "\n{};") + 1
            keep(begin)
            header = source[begin:at].strip()
            named = re.match(r"(\w*)(.*)", header, re.DOTALL)
            assert named
            number = source.count("\n", 0, at)
            alone = lines[number].strip() == hidden[begin : at + 1].strip()
            block = Block(named[1], named[2].strip(), number + 1, alone, current)
            current.children.append(block)
            current = block
        else:
            keep(at)
            number = source.count("\n", 0, at)
            current.alone &= lines[number].strip() == "}"
            assert current.parent is not None, f"line {number + 1}: closes nothing"
            current = current.parent
        start = at + 1
    keep(len(hidden))
    assert current is root, f"{current} is never closed"
    return root


def leaves(tree: Block) -> Iterator[Block]:
    """Yield the stages that have steps of their own."""
    return (stage for stage in tree.all("stage") if stage.own("steps"))


def shell_steps(block: Block) -> Iterator[str]:
    """Yield the statements in and below a block that run a shell."""
    for statement in block.statements:
        if re.search(r"\b(sh|bat|powershell|pwsh)\b", mask(statement)):
            yield statement
    for child in block.children:
        yield from shell_steps(child)


def commands(block: Block) -> Iterator[str]:
    """Yield the commands of the shell steps that are well-formed."""
    for statement in shell_steps(block):
        if found := re.fullmatch(r"sh '([^'\\]*)'", statement):
            yield found[1]


def bad_shell_steps(source: str, targets: set[str], variables: set[str]) -> list[str]:
    """Return what is wrong with shell steps: not one plain make call, or of something unknown."""
    problems = []
    for statement in shell_steps(parse(source)):
        step = re.fullmatch(r"sh '([^'\\]*)'", statement)
        call = MAKE_CALL.fullmatch(step[1]) if step else None
        if not call:
            problems.append(f"{statement}: not one plain make call in single quotes")
            continue
        for target in call["targets"].split():
            if target not in targets:
                problems.append(f"{statement}: the Makefile has no target {target}")
        for pair in call["variables"].split():
            if pair.split("=")[0] not in variables:
                problems.append(f"{statement}: the Makefile has no variable {pair.split('=')[0]}")
    return problems


def early_questions(source: str) -> list[str]:
    """Return the stages that would ask for input before looking at their conditions."""
    problems = []
    for stage in parse(source).all("stage"):
        condition = stage.own("when")
        if stage.own("input") and condition and not condition.says(r"beforeInput true$"):
            problems.append(f"{stage}: `input` comes before `when` without `beforeInput true`")
    return problems


def crowded_blocks(source: str) -> list[str]:
    """Return the `when` and `steps` blocks whose braces share a line with something else."""
    tree = parse(source)
    blocks = [*tree.all("when"), *tree.all("steps")]
    return [f"{block}: not on lines of its own" for block in blocks if not block.alone]


def unbounded(source: str) -> list[str]:
    """Return the stages, or the pipeline, that have no timeout of their own."""
    tree = parse(source)
    problems = []
    for block in [*tree.all("pipeline"), *tree.all("stage")]:
        bound = block.own("options")
        if not bound or not bound.says(r"timeout\(time: \d+, unit: '(MINUTES|HOURS)'\)$"):
            problems.append(f"{block}: no timeout")
    return problems


def silent_failures(source: str) -> list[str]:
    """Return the stages that fail without naming themselves and the command to run by hand."""
    problems = []
    for stage in leaves(parse(source)):
        after = stage.own("post", "unsuccessful")
        message = " ".join(after.statements) if after else ""
        name = stage.argument.strip("()'")
        for expected in (f'Stage "{name}"', *commands(stage)):
            if not message.startswith("echo ") or expected not in message:
                problems.append(f"{stage}: a failure does not say {expected}")
    return problems


def open_doors(source: str) -> list[str]:
    """Return the ways into an environment that skip the branch condition or the approval."""
    problems = []
    for stage in leaves(parse(source)):
        used = [command for command in commands(stage) if "deploy" in command.split()]
        if not used:
            continue
        chain = [stage]
        while chain[-1].parent:
            chain.append(chain[-1].parent)
        conditions = [found for block in chain if (found := block.own("when"))]
        questions = [found for block in chain if (found := block.own("input"))]
        if not any(found.says(r"branch 'main'$") for found in conditions):
            problems.append(f"{stage}: deploys from any branch")
        if any("ENV=" not in command for command in used):
            problems.append(f"{stage}: deploys without naming the environment")
        asked = any(found.says(r"submitter '[\w,-]+'$") for found in questions)
        if any("ENV=production" in command for command in used) and not asked:
            problems.append(f"{stage}: production without an approval by named people")
    return problems


def order(source: str) -> list[str]:
    """Return the targets in the order in which the pipeline first makes them."""
    made: list[str] = []
    for stage in leaves(parse(source)):
        for command in commands(stage):
            made += [word for word in command.split()[1:] if "=" not in word and word not in made]
    return made


def makefile(folder: Path) -> tuple[set[str], set[str]]:
    """Return the targets and the variables that make itself reads from a folder's Makefile."""
    read = subprocess.run(
        [
            shutil.which("make") or "make",
            "--print-data-base",
            "--no-builtin-rules",
            "--question",
            "help",
        ],
        cwd=folder,
        # Not what this run of the tests was called with, by make perhaps.
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    ).stdout
    targets, variables, skip, ours = set(), set(), False, False
    for line in read.splitlines():
        if line.startswith("# Not a target:"):
            skip = True
        elif line.startswith("# makefile (from "):
            ours = True
        elif line.startswith("#"):
            ours = False
        elif found := re.match(r"(?:export |override )?(\w+) (?:[:?+]{0,3}=)", line):
            variables |= {found[1]} if ours else set()
        elif found := re.match(r"([\w-]+):(?!=)", line):
            targets |= set() if skip else {found[1]}
            skip = False
        elif line.strip():
            skip = False
    return targets, variables - {"MAKEFILE_LIST"}


@pytest.fixture(scope="module")
def jenkinsfile() -> str:
    """Return the committed Jenkinsfile."""
    return (ROOT / "Jenkinsfile").read_text(encoding="utf-8")


def test_every_shell_step_is_a_make_call(jenkinsfile: str) -> None:
    """A person can type what a stage does."""
    targets, variables = makefile(ROOT)
    assert bad_shell_steps(jenkinsfile, targets, variables) == []


def test_conditions_come_before_questions(jenkinsfile: str) -> None:
    """No branch waits for an approval that it has no use for."""
    assert early_questions(jenkinsfile) == []


def test_when_and_steps_stand_on_lines_of_their_own(jenkinsfile: str) -> None:
    """The form that Jenkins' own linter accepts."""
    assert crowded_blocks(jenkinsfile) == []


def test_everything_has_a_timeout(jenkinsfile: str) -> None:
    """A hanging step ends its stage, not the team's day."""
    assert unbounded(jenkinsfile) == []


def test_failures_say_how_to_repeat_them(jenkinsfile: str) -> None:
    """A failed build names its stage and the command to run locally."""
    assert silent_failures(jenkinsfile) == []


def test_environments_are_guarded(jenkinsfile: str) -> None:
    """Only main is deployed, and production asks named people."""
    assert open_doors(jenkinsfile) == []


def test_stages_follow_in_order(jenkinsfile: str) -> None:
    """Cheap checks first, and nothing is deployed before everything was tested."""
    assert [target for target in order(jenkinsfile) if target in ORDER] == ORDER


def test_reports_are_kept(jenkinsfile: str) -> None:
    """Test results and reports outlive the build, whatever its result."""
    always = [block for post in parse(jenkinsfile).all("post") if (block := post.own("always"))]
    assert any(block.says(r"junit .*'build/reports/junit/\*\.xml'") for block in always)
    assert any(block.says(r"archiveArtifacts .*'build/reports/\*\*'") for block in always)


# The checks themselves: a small pipeline passes all of them, and each spoiled copy fails its own.

GOOD = """\
// sh 'in a comment' {
pipeline {
    agent none
    options {
        timeout(time: 7, unit: 'HOURS')
    }
    stages {
        stage('Ship') {
            options {
                timeout(time: 30, unit: 'MINUTES')
            }
            when {
                beforeInput true
                branch 'main'
            }
            input {
                message 'Really { ?'
                submitter 'ops'
            }
            steps {
                echo "sh ${env.A}"
                sh 'make lint deploy ENV=production'
            }
            post {
                unsuccessful {
                    echo 'Stage "Ship" failed. Run: make lint deploy ENV=production'
                }
            }
        }
    }
}
"""
STEP = "sh 'make lint deploy ENV=production'"


def shell_problems(source: str) -> list[str]:
    """Return the problems of shell steps against a Makefile with two targets and one variable."""
    return bad_shell_steps(source, {"lint", "deploy"}, {"ENV"})


CHECKS: list[Check] = [
    shell_problems,
    early_questions,
    crowded_blocks,
    unbounded,
    silent_failures,
    open_doors,
]


@pytest.mark.parametrize("check", CHECKS)
def test_checks_accept_a_good_pipeline(check: Check) -> None:
    """No check complains where nothing is wrong."""
    assert check(GOOD) == []


@pytest.mark.parametrize(
    ("check", "old", "new"),
    [
        (shell_problems, STEP, "sh 'make lint && make deploy'"),
        (shell_problems, STEP, "sh 'pytest'"),
        (shell_problems, STEP, 'sh "make lint"'),
        (shell_problems, STEP, "sh '''\n make lint\n make deploy\n'''"),
        (shell_problems, STEP, "sh(script: 'make lint')"),
        (shell_problems, STEP, "sh 'make absent'"),
        (shell_problems, STEP, "sh 'make lint COLOUR=red'"),
        (shell_problems, STEP, "script { sh 'true' }"),
        (early_questions, "beforeInput true", "beforeAgent true"),
        (early_questions, "beforeInput true", "// beforeInput true"),
        (crowded_blocks, "when {\n                beforeInput true", "when { beforeInput true"),
        (crowded_blocks, "steps {\n                echo", "steps { echo"),
        (crowded_blocks, "branch 'main'\n            }", "branch 'main' }"),
        (unbounded, "timeout(time: 30, unit: 'MINUTES')", "retry(2)"),
        (unbounded, "timeout(time: 7, unit: 'HOURS')", "timestamps()"),
        (unbounded, "timeout(time: 7,", "// timeout(time: 7,"),
        (silent_failures, 'Stage "Ship" failed. ', ""),
        (silent_failures, "Run: make lint deploy", "Run: make lint"),
        (silent_failures, "unsuccessful", "success"),
        (open_doors, "branch 'main'", "branch 'develop'"),
        (open_doors, "submitter 'ops'", "ok 'Go'"),
        (open_doors, STEP, "sh 'make deploy'"),
    ],
)
def test_checks_refuse_a_bad_pipeline(check: Check, old: str, new: str) -> None:
    """Every check is seen to fail."""
    assert GOOD.count(old) == 1 or old == STEP
    spoiled = GOOD.replace(old, new, 1)
    assert spoiled != GOOD
    assert check(spoiled) != []


@pytest.mark.parametrize("source", ["pipeline {\n", "pipeline {\n}\n}\n"])
def test_unbalanced_braces_are_an_error(source: str) -> None:
    """A tree read from half a file would pass every check."""
    with pytest.raises(AssertionError):
        parse(source)


def test_targets_and_variables_are_those_of_the_makefile(tmp_path: Path) -> None:
    """Prerequisites are no targets, and make's own variables are not the project's."""
    (tmp_path / "Makefile").write_text(
        "ENV ?= local\nNODES := 1\n.PHONY: help test-web\nhelp:\n\t@true\ntest-web: absent.txt\n",
        encoding="utf-8",
    )
    targets, variables = makefile(tmp_path)
    assert targets == {"help", "test-web"}
    assert variables == {"ENV", "NODES"}
