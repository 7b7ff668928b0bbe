"""Guards the pipelines: what Jenkins accepts in silence and would do wrong, or not at all.

Every shell step is one call of make with targets that the Makefile has, every stage has a timeout
of its own and says how to repeat it by hand, nothing asks for approval where it has no business to,
production is reached from main, through an approval by named people, and no other way, and an
environment's credential is handed to builds of main alone, and taken back.
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
    "check-request",
    "at-version",
    "check-state",
    "tools",
    "lint",
    "types",
    "coverage",
    "test-browser",
    "test-previous",
    "test-roles",
    "test-infra",
    "test-cloud",
    "images",
    "bundle",
    "sbom",
    "test-images",
    "test-cars",
    "test-fleet",
    "deploy",
]
# What changes an environment, or what runs in it.
CHANGES = {
    "deploy",
    "rollback",
    "scale",
    "rotate",
    "move",
    "restore",
    "site",
    "maintenance",
    "destroy",
}

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
        said = re.match(rf"explain\(\s*'{re.escape(name)}',", message)
        if not said:
            problems.append(f"{stage}: a failure does not name the stage")
        for expected in commands(stage.own("steps") or stage):
            if expected not in message:
                problems.append(f"{stage}: a failure does not say {expected}")
    return problems


def chain(block: Block) -> list[Block]:
    """Return a block and all that it stands in, from the inside out."""
    found = [block]
    while found[-1].parent:
        found.append(found[-1].parent)
    return found


def questions(stage: Block) -> Iterator[Block]:
    """Yield what is asked before a stage begins: by it, by what it stands in, or by a stage before it in there."""
    for block in chain(stage):
        before = [
            found
            for found in (block.parent.children if block.parent else [])
            if found.name == block.name == "stage" and found.line < block.line
        ]
        # One that has a condition may be skipped, and nobody is asked.
        asking = [block, *(found for found in before if not found.own("when"))]
        yield from (found for it in asking if (found := it.own("input")))


def open_doors(source: str) -> list[str]:
    """Return the ways into an environment that skip the branch condition or the approval."""
    problems = []
    for stage in leaves(parse(source)):
        used = [command for command in commands(stage) if CHANGES & set(command.split())]
        if not used:
            continue
        conditions = [found for block in chain(stage) if (found := block.own("when"))]
        if not any(found.says(r"branch 'main'$") for found in conditions):
            problems.append(f"{stage}: changes something from any branch")
        if any("ENV=" not in command for command in used):
            problems.append(f"{stage}: changes something without naming the environment")
        asked = any(found.says(r"submitter '[\w,-]+'$") for found in questions(stage))
        if any("ENV=production" in command for command in used) and not asked:
            problems.append(f"{stage}: production without an approval by named people")
    return problems


def loose_credentials(source: str) -> list[str]:
    """Return what hands out a credential beyond main, to another environment, or for good."""
    problems = []
    for block in parse(source).all("withCredentials"):
        around = chain(block)
        stage = next(found for found in around if found.name == "stage")
        conditions = [found for outer in around if (found := outer.own("when"))]
        if not any(found.says(r"branch 'main'$") for found in conditions):
            problems.append(f"{stage}: a credential for any branch")
        named = re.search(
            r"credentialsId: (?:'beanft-(\w+)'|\"beanft-\$\{params.ENVIRONMENT\}\")", block.argument
        )
        environment = named[1] if named else None
        if not named:
            problems.append(f"{stage}: not the credential of an environment")
        loads = False
        for command in commands(block):
            words = command.split()
            loads |= "load-state" in words
            if environment and f"ENV={environment}" not in words:
                problems.append(
                    f"{stage}: `{command}` is not for {environment}, whose credential it has"
                )
            if not {"load-state", "check-state"} & set(words[1:2]):
                problems.append(f"{stage}: `{command}` does not use the credential")
        last = stage.own("post", "cleanup")
        forgets = "make forget-state" + (f" ENV={environment}" if environment else "")
        if loads and not (last and forgets in commands(last)):
            problems.append(f"{stage}: the credential stays on the agent")
    return problems


def idle_executors(source: str) -> list[str]:
    """Return the stages that ask while they, or what they stand in, hold an executor."""
    problems = []
    for stage in parse(source).all("stage"):
        outer = [found for found in chain(stage)[1:] if found.name in ("stage", "pipeline")]
        holds = any(
            found.own("agent")
            or any(re.match(r"agent (?!none$)", line) for line in found.statements)
            for found in outer
        )
        if stage.own("input") and holds:
            problems.append(f"{stage}: asks on an executor that waits with it")
    return problems


def untidy(source: str) -> list[str]:
    """Return the stages with an agent in which a killed test would leave its machines."""
    problems = []
    for stage in parse(source).all("stage"):
        if not any(word.startswith("test") for step in commands(stage) for word in step.split()):
            continue
        holders = [found for found in chain(stage) if found.own("agent")]
        last = holders[0].own("post", "cleanup") if holders else None
        if not (last and "make down-tests" in commands(last)):
            problems.append(f"{stage}: an aborted test leaves its machines")
    return problems


def order(source: str) -> list[str]:
    """Return the targets in the order in which the pipeline first makes them."""
    made: list[str] = []
    for stage in leaves(parse(source)):
        for command in commands(stage.own("steps") or stage):
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


def test_credentials_are_for_main_and_taken_back(jenkinsfile: str) -> None:
    """A pull request never sees one, and nothing of it stays on an agent."""
    assert loose_credentials(jenkinsfile) == []


def test_questions_hold_no_executor(jenkinsfile: str) -> None:
    """Other builds go on while somebody makes up their mind."""
    assert idle_executors(jenkinsfile) == []


def test_aborted_builds_leave_no_machine(jenkinsfile: str) -> None:
    """Whatever happens to a test, what it made is removed at the end."""
    assert untidy(jenkinsfile) == []


def test_checks_run_side_by_side(jenkinsfile: str) -> None:
    """Lint, the application, the roles and the clouds need nothing of each other."""
    (group,) = parse(jenkinsfile).all("parallel")
    assert [stage.argument for stage in group.children] == [
        "('Lint')",
        "('Application tests')",
        "('Role tests')",
        "('Cloud tests')",
    ]


def parameters(source: str) -> dict[str, str]:
    """Return the pipeline's parameters with their definitions."""
    (block,) = parse(source).all("parameters")
    found = {}
    for statement in block.statements:
        name = re.search(r"name: '(\w+)'", statement)
        assert name, statement
        found[name[1]] = statement
    return found


def choices(definition: str) -> list[str]:
    """Return the choices of a parameter."""
    listed = re.search(r"choices: \[([^\]]*)\]", definition)
    return re.findall(r"'([^']*)'", listed[1]) if listed else []


def test_parameters_reach_the_steps(jenkinsfile: str) -> None:
    """As variables of the environment, also on a job's first build, which knows `params` alone."""
    defined = parameters(jenkinsfile)
    assert set(defined) == {"ENVIRONMENT", "VERSION", "ACTION", "DRY_RUN"}
    (pipeline,) = parse(jenkinsfile).all("pipeline")
    environment = pipeline.own("environment")
    assert environment
    assert set(environment.statements) == {f'{name} = "${{params.{name}}}"' for name in defined}


def test_every_action_is_done_somewhere(jenkinsfile: str) -> None:
    """What can be chosen has a stage, and what stages ask for can be chosen."""
    offered = set(choices(parameters(jenkinsfile)["ACTION"]))
    asked = set(re.findall(r"params\.ACTION == '([\w-]+)'", jenkinsfile))
    assert asked == offered


def test_the_request_is_judged_by_the_same_words(jenkinsfile: str) -> None:
    """`bin/check-request` lets pass what the parameters offer, and nothing else."""
    script = (ROOT / "bin" / "check-request").read_text(encoding="utf-8")
    for name, offered in parameters(jenkinsfile).items():
        if choices(offered):
            cases = re.search(rf"case \${name.lower()} in\n +([^)]*)\)", script)
            assert cases
            assert cases[1].split(" | ") == choices(offered)


SCHEDULED = sorted((ROOT / "jenkins").glob("*.Jenkinsfile"))


@pytest.mark.parametrize("path", SCHEDULED, ids=lambda path: path.name)
def test_scheduled_pipelines_start_builds_of_main(path: Path, jenkinsfile: str) -> None:
    """By a clock, within bounds, without steps or credentials of their own, as main's parameters allow."""
    source = path.read_text(encoding="utf-8")
    tree = parse(source)
    defined = parameters(jenkinsfile)
    assert unbounded(source) == []
    assert crowded_blocks(source) == []
    assert list(shell_steps(tree)) == []
    assert list(tree.all("withCredentials")) == []
    triggers = next(tree.all("triggers"))
    assert triggers.says(r"cron\('H [\d*]+ \* \* [\d*]'\)$")
    acts = [line for stage in leaves(tree) for line in (stage.own("steps") or stage).statements]
    assert acts
    for act in acts:
        called = re.fullmatch(r"act\('([\w-]+)', '(\w+)'\)", act)
        assert called, act
        assert called[1] in choices(defined["ACTION"])
        assert called[2] in choices(defined["ENVIRONMENT"])


def test_scheduled_pipelines_do_what_is_due() -> None:
    """Every night drift, backups and a restore; every week all faults and the updates."""
    acts = {
        path.name.split(".")[0]: re.findall(r"  act\('([\w-]+)'", path.read_text(encoding="utf-8"))
        for path in SCHEDULED
    }
    assert acts == {
        "nightly": ["drift", "drift", "backup", "backup", "restore-test"],
        "weekly": ["faults", "updates"],
    }


def test_reports_are_kept(jenkinsfile: str) -> None:
    """Test results and reports outlive the build, whatever its result."""
    always = [block for post in parse(jenkinsfile).all("post") if (block := post.own("always"))]
    assert any(block.says(r"junit .*'build/reports/junit/\*\.xml'") for block in always)
    assert any(block.says(r"archiveArtifacts.* artifacts: 'build/reports/\*\*") for block in always)


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
            agent {
                label 'any'
            }
            steps {
                echo "sh ${env.A}"
                sh 'make lint deploy ENV=production'
                withCredentials([file(credentialsId: 'beanft-staging', variable: 'STATE')]) {
                    sh 'make load-state ENV=staging'
                }
                sh 'make test-a'
            }
            post {
                unsuccessful {
                    explain(
                        'Ship',
                        'make lint deploy ENV=production, make load-state ENV=staging, make test-a'
                    )
                }
                cleanup {
                    sh 'make forget-state ENV=staging'
                    sh 'make down-tests'
                }
            }
        }
    }
}
"""
STEP = "sh 'make lint deploy ENV=production'"


def shell_problems(source: str) -> list[str]:
    """Return the problems of shell steps against a Makefile with few targets and one variable."""
    targets = {"lint", "deploy", "load-state", "forget-state", "test-a", "down-tests"}
    return bad_shell_steps(source, targets, {"ENV"})


CHECKS: list[Check] = [
    shell_problems,
    early_questions,
    crowded_blocks,
    unbounded,
    silent_failures,
    open_doors,
    loose_credentials,
    idle_executors,
    untidy,
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
        (silent_failures, "                        'Ship',\n", ""),
        (silent_failures, "ENV=production, make load-state", "ENV=production"),
        (silent_failures, "unsuccessful", "success"),
        (open_doors, "branch 'main'", "branch 'develop'"),
        (open_doors, "submitter 'ops'", "ok 'Go'"),
        (open_doors, STEP, "sh 'make deploy'"),
        (open_doors, STEP, "sh 'make rollback'"),
        (loose_credentials, "branch 'main'", "branch 'develop'"),
        (
            loose_credentials,
            "sh 'make load-state ENV=staging'",
            "sh 'make load-state ENV=production'",
        ),
        (loose_credentials, "sh 'make load-state ENV=staging'", "sh 'make deploy ENV=staging'"),
        (loose_credentials, "credentialsId: 'beanft-staging'", "credentialsId: 'other'"),
        (loose_credentials, "sh 'make forget-state ENV=staging'\n", ""),
        (idle_executors, "agent none", "agent any"),
        (untidy, "sh 'make down-tests'\n", ""),
    ],
)
def test_checks_refuse_a_bad_pipeline(check: Check, old: str, new: str) -> None:
    """Every check is seen to fail."""
    assert GOOD.count(old) == 1 or old == STEP
    spoiled = GOOD.replace(old, new, 1)
    assert spoiled != GOOD
    assert check(spoiled) != []


ASKED_BEFORE = """\
stage('Production') {
    when {
        branch 'main'
    }
    stages {
        stage('Approval') {
            input {
                submitter 'ops'
            }
            steps {
                echo 'yes'
            }
        }
        stage('Deploy') {
            steps {
                sh 'make deploy ENV=production'
            }
        }
    }
}
"""


def test_a_question_may_be_a_stage_of_its_own() -> None:
    """Before what it is about, in the same stage, and without a condition that could skip it."""
    assert open_doors(ASKED_BEFORE) == []
    condition = "stage('Approval') {\n            when {\n                branch 'x'\n            }"
    skipped = ASKED_BEFORE.replace("stage('Approval') {", condition)
    deploy = ASKED_BEFORE[ASKED_BEFORE.index("        stage('Deploy')") : -len("    }\n}\n")]
    swapped = ASKED_BEFORE.replace(deploy, "").replace(
        "        stage('Approval')", f"{deploy}        stage('Approval')"
    )
    for spoiled in (skipped, swapped):
        assert spoiled != ASKED_BEFORE
        assert len(open_doors(spoiled)) == 1


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
