"""bin/fork_server.py and bin/forked_python: a script can't tell them from Python, but for what is loaded already."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CLIENT = ROOT / "bin" / "forked_python"
PYTHON = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])


@contextmanager
def serving(place: Path, provider: str = "gcp") -> Iterator[Path]:
    """Serve at a place until this ends."""
    server = subprocess.Popen(
        [sys.executable, ROOT / "bin" / "fork_server.py", place, provider], stdin=subprocess.PIPE
    )
    try:
        end = time.monotonic() + 30
        while not place.is_socket() and time.monotonic() < end:
            time.sleep(0.05)
        yield place
    finally:
        server.communicate(timeout=60)
    assert server.returncode == 0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    with serving(tmp_path_factory.mktemp("serving") / "server") as place:
        yield place


def run(
    script: str, *arguments: str, server: Path | str, folder: Path = ROOT, **more: str
) -> subprocess.CompletedProcess[str]:
    """Run a script from standard input, as Ansible does."""
    return subprocess.run(
        [CLIENT, *arguments],
        env={"PATH": PYTHON, "BEANFT_FORK_SERVER": str(server), **more},
        cwd=folder,
        input=script,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_what_is_imported_was_there_before(server: Path) -> None:
    script = "import sys; print('ansible.module_utils.basic' in sys.modules)"
    assert run(script, server=server).stdout == "True\n"
    assert run(script, server="").stdout == "False\n"


@pytest.mark.parametrize("where", ["served", "not served", "nobody there"])
def test_it_is_as_if_python_ran_the_script(server: Path, tmp_path: Path, where: str) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import os, subprocess, sys\n"
        "assert __name__ == '__main__' and sys.modules[__name__].__dict__ is globals()\n"
        "assert subprocess.run(['false']).returncode == 1\n"
        "print(sys.argv, os.getcwd(), os.environ['MINE'], 'HOME' in os.environ, oct(os.umask(0)))\n"
        "print(sys.stdin.read(), os.path.basename(__file__), file=sys.stderr)\n"
        "sys.exit(7)\n",
        encoding="utf-8",
    )
    place = {"served": server, "not served": "", "nobody there": tmp_path / "nobody"}[where]
    before = os.umask(0o027)
    done = run("said", str(script), "a b", server=place, folder=tmp_path, MINE="é")
    os.umask(before)
    assert done.returncode == 7, done.stderr
    assert done.stdout == f"['{script}', 'a b'] {tmp_path} é False 0o27\n"
    assert done.stderr == "said script.py\n"


@pytest.mark.parametrize("served", [True, False])
@pytest.mark.parametrize(
    ("script", "code", "said"),
    [
        ("", 0, ""),
        ("import sys; sys.exit('it can not be')", 1, "it can not be\n"),
        ("1 / 0", 1, "ZeroDivisionError"),
        ("1 /", 1, "SyntaxError"),
        # A fork of a script, as of a task in the background, does not end for it.
        (
            "import os, sys, time\nif os.fork() == 0: sys.exit(3)\ntime.sleep(0.3); sys.exit(4)",
            4,
            "",
        ),
    ],
)
def test_how_a_script_ends(server: Path, script: str, code: int, said: str, served: bool) -> None:
    done = run(script, server=server if served else "")
    assert done.returncode == code, done.stderr
    assert said in done.stderr


def test_what_is_no_script_is_for_python_itself(server: Path) -> None:
    assert run("", "-c", "print(6 * 7)", server=server).stdout == "42\n"


def test_a_script_that_is_killed_has_failed(server: Path) -> None:
    assert run("import os; os.kill(os.getpid(), 9)", server=server).returncode == 1


def test_a_script_whose_folder_is_gone_runs(server: Path, tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    done = subprocess.run(
        ["sh", "-c", 'cd "$1" && rmdir "$1" && exec "$2"', "sh", gone, CLIENT],
        env={"PATH": PYTHON, "BEANFT_FORK_SERVER": str(server)},
        input="print('runs')",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "runs\n"), done.stderr


def test_a_script_ends_when_its_caller_is_killed(server: Path, tmp_path: Path) -> None:
    noted = tmp_path / "pid"
    script = tmp_path / "script.py"
    script.write_text(
        f"import os, time\nopen('{noted}.new', 'w').write(str(os.getpid()))\n"
        f"os.rename('{noted}.new', '{noted}')\ntime.sleep(60)\n",
        encoding="utf-8",
    )
    caller = subprocess.Popen(
        [CLIENT, script], env={"PATH": PYTHON, "BEANFT_FORK_SERVER": str(server)}
    )
    end = time.monotonic() + 30
    while not noted.exists() and time.monotonic() < end:
        time.sleep(0.05)
    script_process = Path(f"/proc/{noted.read_text()}")
    assert script_process.exists()
    caller.send_signal(signal.SIGKILL)
    caller.wait()
    while script_process.exists() and time.monotonic() < end:
        time.sleep(0.05)
    assert not script_process.exists()


def test_a_payload_has_modules_of_its_own(server: Path, tmp_path: Path) -> None:
    payload = tmp_path / "payload.zip"
    with zipfile.ZipFile(payload, "w") as content:
        content.writestr("ansible/module_utils/of_this_project.py", "WORD = 'found'\n")
        content.writestr(
            "ansible/modules/its_module.py", "from ..module_utils import of_this_project\n"
        )
    script = (
        f"import sys; sys.path.insert(0, '{payload}')\n"
        "from ansible.module_utils.of_this_project import WORD\n"
        "import runpy; runpy.run_module('ansible.modules.its_module')\nprint(WORD)\n"
    )
    done = run(script, server=server)
    assert (done.returncode, done.stdout) == (0, "found\n"), done.stderr


def test_a_cloud_that_is_not_installed_is_missed_by_its_modules_alone(tmp_path: Path) -> None:
    with serving(tmp_path / "server", "azure") as place:
        assert run("print('runs')", server=place).stdout == "runs\n"
