"""The command line. Each command imports what it needs itself: ``serve`` stays small."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from beanft.config import ConfigError, load_settings


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="beanft", description="Run and look after beanft.")
    commands = parser.add_subparsers(dest="command", required=True)

    serve = commands.add_parser("serve", help="run a service until SIGTERM")
    serve.add_argument("service", choices=["web", "api", "worker"])

    run = commands.add_parser("run-worker", help="run the worker itself; serve starts this")
    run.set_defaults(command="run-worker")

    database = commands.add_parser("db", help="look after the database's schema")
    database.add_argument("action", choices=["upgrade", "current", "pending"])
    database.add_argument(
        "--backed-up",
        metavar="NAME",
        help="the backup of a PostgreSQL database from before this upgrade; SQLite's is made here",
    )

    move = commands.add_parser(
        "move-database", help="copy everything to an empty database, SQLite to PostgreSQL or back"
    )
    move.add_argument("--from", dest="source", required=True, metavar="URL")
    move.add_argument("--to", dest="target", required=True, metavar="URL")
    for option, what in (("--from-files", "are"), ("--to-files", "go")):
        move.add_argument(
            option,
            type=Path,
            metavar="DIR",
            help=f"where files {what}, beside SQLite; PostgreSQL has them itself",
        )
    move.add_argument(
        "--put-aside",
        action="store_true",
        help="give what is at the target another name first, where it has rows",
    )
    move.add_argument("--json", action="store_true", help="print JSON instead of a table")

    models = commands.add_parser("models", help="look after released models")
    models.add_argument("action", choices=["ensure-sample"])

    users = commands.add_parser("users", help="look after accounts")
    actions = users.add_subparsers(dest="action", required=True)
    create = actions.add_parser("create", help="create an account; prints a one-time link")
    create.add_argument("email")
    create.add_argument(
        "--password-stdin",
        action="store_true",
        help="read the password from standard input instead of printing a link",
    )
    recover = actions.add_parser(
        "recover", help="let a person in again who lost the password; prints a one-time link"
    )
    recover.add_argument("email")
    recover.add_argument(
        "--without-second-factor",
        action="store_true",
        help="turn the second factor off, whose app and recovery codes are lost",
    )
    return parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; 78 means a setting is wrong."""
    options = _parser().parse_args(arguments)
    try:
        settings = load_settings()
    except ConfigError as error:
        print(f"beanft: {error}", file=sys.stderr)
        return 78
    if options.command == "serve":
        from beanft.cli.serve import serve

        serve(settings, options.service)
    if options.command == "run-worker":
        from beanft.jobs.worker import run_worker

        run_worker(settings)
        return 0
    from beanft.cli import commands

    if options.command == "db":
        return commands.database(settings, options.action, options.backed_up)
    if options.command == "move-database":
        from beanft.cli.move import move_database

        return move_database(settings, options)
    if options.command == "models":
        return commands.ensure_sample(settings)
    if options.action == "recover":
        return commands.recover_user(
            settings, options.email, second_factor=not options.without_second_factor
        )
    return commands.create_user(settings, options.email, from_stdin=options.password_stdin)
