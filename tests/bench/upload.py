#!/usr/bin/env python3
"""Seconds and memory that the pages take to store and profile a 100 MB CSV file.

Run by `make bench-upload`. The web service runs as in production, supervisor and gunicorn, on one
core; a session is logged in, and the file goes through the form as a browser sends it. Writes
build/reports/bench-upload.json and prints its table. "Seconds" are from the first byte sent to the
answer that leads to the data set's page; the file is then stored, synced and committed.
"""

from __future__ import annotations

import http.client
import json
import os
import random
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import urlencode

ROOT = Path(__file__).resolve().parents[2]
SIZE = 100_000_000
RUNS = 3
BOUNDS = {"seconds": 8.0, "memory": 250.0}
EMAIL, PASSWORD = "bench@example.org", "a good long password"
CITIES = ("Berlin", "Paris", "New York", "Rome", "San Jose")


def make_csv(path: Path) -> int:
    """Write a file of 100 MB: 18 columns of numbers, classes, gaps and free text; return its rows."""
    draw = random.Random(1)  # noqa: S311 - data to upload, no secret
    names = [
        "id",
        *(f"m{number}" for number in range(12)),
        "city",
        "grade",
        "flag",
        "count",
        "note",
    ]
    rows = 0
    with path.open("w") as target:
        target.write(",".join(names) + "\n")
        while target.tell() < SIZE:
            block = []
            for _ in range(2000):
                rows += 1
                cells = [str(rows), *(f"{draw.gauss(10, 3):.4f}" for _ in range(12))]
                count = str(draw.randrange(1000)) if draw.random() > 0.02 else ""
                cells += [
                    draw.choice(CITIES),
                    draw.choice("ABCDE"),
                    draw.choice(("yes", "no")),
                    count,
                ]
                block.append(",".join([*cells, f"note {draw.randrange(10**6)}"]))
            target.write("\n".join(block) + "\n")
    return rows


class Site:
    """A running web service, and a browser that is logged in."""

    def __init__(self, home: Path) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        (home / "secrets").mkdir()
        (home / "secrets" / "beanft_secret_key").write_text("x" * 40)
        self._env = {
            **os.environ,
            "PYTHONPATH": str(ROOT / "app"),
            "BEANFT_ENVIRONMENT": "production",
            "BEANFT_COOKIE_SECURE": "false",
            "BEANFT_SECRETS_DIR": str(home / "secrets"),
            "BEANFT_HOST": "127.0.0.1",
            "BEANFT_PORT": str(self.port),
            "BEANFT_DATABASE_URL": f"sqlite:///{home}/db/beanft.sqlite3",
            "BEANFT_QUEUE_PATH": f"{home}/db/queue.sqlite3",
            "BEANFT_STORAGE_PATH": f"{home}/files",
            "BEANFT_RUN_DIR": f"{home}/run",
            "BEANFT_DRAIN_SECONDS": "0",
        }
        self._command("db", "upgrade")
        self._command("users", "create", EMAIL, "--password-stdin", text=PASSWORD)
        self._log = (home / "web.log").open("wb")
        self._process = subprocess.Popen(
            [
                "taskset",
                "--cpu-list",
                str(min(os.sched_getaffinity(0))),
                *self._python("serve", "web"),
            ],
            env=self._env,
            stdout=self._log,
            stderr=self._log,
        )
        self._cookie = ""
        self._wait()
        self._log_in()

    def _python(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "beanft", *arguments]

    def _command(self, *arguments: str, text: str = "") -> None:
        subprocess.run(
            self._python(*arguments),
            env=self._env,
            input=text,
            text=True,
            check=True,
            stdout=subprocess.DEVNULL,
        )

    def _wait(self) -> None:
        end = time.monotonic() + 60
        while time.monotonic() < end:
            try:
                self.get("/healthz")
            except OSError:
                time.sleep(0.05)
            else:
                return
        raise SystemExit("the web service didn't start within 60 s")

    def connect(self) -> http.client.HTTPConnection:
        """Return a connection."""
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)

    def _take(self, answer: http.client.HTTPResponse) -> str:
        body = answer.read().decode()
        for cookie in answer.headers.get_all("Set-Cookie") or []:
            self._cookie = cookie.split(";", 1)[0]
        return body

    def get(self, path: str) -> str:
        """Fetch a page."""
        connection = self.connect()
        try:
            connection.request("GET", path, headers={"Cookie": self._cookie})
            return self._take(connection.getresponse())
        finally:
            connection.close()

    def token(self, page: str) -> str:
        """Return the token that forms of a page carry."""
        found = re.search(r'name="csrf_token"[^>]* value="([^"]+)"', self.get(page))
        if not found:
            raise SystemExit(f"{page} has no form")
        return found.group(1)

    def post(self, path: str, **values: str) -> tuple[int, str]:
        """Send a form; return the status and where it leads."""
        connection = self.connect()
        headers = {"Cookie": self._cookie, "Content-Type": "application/x-www-form-urlencoded"}
        connection.request("POST", path, urlencode(values), headers)
        answer = connection.getresponse()
        self._take(answer)
        connection.close()
        return answer.status, answer.headers.get("Location", "")

    def _log_in(self) -> None:
        status, _where = self.post(
            "/login", csrf_token=self.token("/login"), email=EMAIL, password=PASSWORD
        )
        if status != 302:
            raise SystemExit(f"logging in was answered by {status}")

    def upload(self, path: Path) -> tuple[float, str]:
        """Upload a file as a browser does; return the seconds and the data set's page."""
        boundary = "beanft-bench-boundary"
        head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="csrf_token"\r\n\r\n{self.token("/datasets")}\r\n'
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{path.name}"\r\n'
            "Content-Type: text/csv\r\n\r\n"
        ).encode()
        tail = f"\r\n--{boundary}--\r\n".encode()
        connection = self.connect()
        begun = time.monotonic()
        connection.putrequest("POST", "/datasets")
        connection.putheader("Cookie", self._cookie)
        connection.putheader("Content-Type", f"multipart/form-data; boundary={boundary}")
        connection.putheader("Content-Length", str(len(head) + path.stat().st_size + len(tail)))
        connection.endheaders(head)
        with path.open("rb") as stream:
            while piece := stream.read(1 << 18):
                connection.send(piece)
        connection.send(tail)
        answer = connection.getresponse()
        seconds = time.monotonic() - begun
        body = self._take(answer)
        connection.close()
        if answer.status != 302:
            raise SystemExit(f"the upload was answered by {answer.status}: {body[:500]}")
        return seconds, answer.headers["Location"]

    def processes(self) -> list[int]:
        """Return the ids of the service's processes: supervisor, gunicorn, its worker."""
        found, todo = [], [self._process.pid]
        while todo:
            pid = todo.pop()
            found.append(pid)
            children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            todo.extend(int(child) for child in children)
        return found

    def peak_megabytes(self) -> float:
        """Return the peak resident memory of the largest process."""
        peaks = []
        for pid in self.processes():
            status = Path(f"/proc/{pid}/status").read_text()
            peaks.append(int(re.search(r"VmHWM:\s+(\d+) kB", status).group(1)) * 1024 / 1e6)
        return max(peaks)

    def cpu_seconds(self) -> float:
        """Return the processor time that the service's processes used."""
        ticks = 0
        for pid in self.processes():
            fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        """Stop the service."""
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(60)
        self._log.close()


class Clicker(threading.Thread):
    """Asks for a page again and again, as other people do meanwhile."""

    def __init__(self, site: Site) -> None:
        super().__init__(daemon=True)
        self._site = site
        self._enough = threading.Event()
        self.milliseconds: list[float] = []

    def run(self) -> None:
        """Ask until told that it is enough."""
        while not self._enough.wait(0.02):
            begun = time.monotonic()
            self._site.get("/login")
            self.milliseconds.append((time.monotonic() - begun) * 1000)

    def median(self) -> float:
        """Stop, and return the median."""
        self._enough.set()
        self.join()
        return sorted(self.milliseconds)[len(self.milliseconds) // 2]


def row(name: str, value: float | int, unit: str, bound: float | None = None) -> str:
    """Return a row of the report; a bound is an upper one."""
    holds = None if bound is None else value <= bound
    return json.dumps({"name": name, "value": value, "unit": unit, "bound": bound, "holds": holds})


def main() -> None:
    """Measure, and report."""
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        table = home / "bench.csv"
        rows = make_csv(table)
        site = Site(home)
        try:
            before = site.peak_megabytes()
            used = site.cpu_seconds()
            done = [site.upload(table) for _ in range(RUNS)]
            used = (site.cpu_seconds() - used) / RUNS
            if f"<dd>{rows}</dd>" not in site.get(done[-1][1]):
                raise SystemExit("the data set's page doesn't say how many rows there are")
            seconds = sorted(taken for taken, _place in done)
            clicks = Clicker(site)
            clicks.start()
            site.upload(table)
            others = clicks.median()
            peak = site.peak_megabytes()
        except BaseException:
            print((home / "web.log").read_text()[-3000:], file=sys.stderr)
            raise
        finally:
            site.stop()
        report = [
            row("file", table.stat().st_size / 1e6, "MB"),
            row("rows of 18 columns", rows, "rows"),
            row(
                f"upload and profile, median of {RUNS}",
                round(seconds[RUNS // 2], 2),
                "s",
                BOUNDS["seconds"],
            ),
            row(f"upload and profile, slowest of {RUNS}", round(seconds[-1], 2), "s"),
            row("processor time of one", round(used, 2), "s"),
            row("web process, resident, at its peak", round(peak, 1), "MB", BOUNDS["memory"]),
            row("web process, resident, before", round(before, 1), "MB"),
            row("another page meanwhile, median", round(others, 1), "ms"),
        ]
    subprocess.run([str(ROOT / "bin/report"), "bench-upload", *report], check=True)


if __name__ == "__main__":
    main()
