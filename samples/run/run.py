#!/usr/bin/env python3
"""./dev run: the main job on this machine. Real processes over TLS on loopback; a prober that does
not link the receiver library looks at what happens, and when."""

import argparse
import contextlib
import json
import os
import pathlib
import shutil
import signal
import sys
import tempfile

from phases import MISSIONS, Story
from timeline import Timeline
from world import StartFailed, World


def hints(world, story) -> str:
    ctl = f"{world.program('missionctl')} --config {world.missionctl_config}"
    vendor = story.missions.get("vendor", "MISSION")
    task = story.missions.get("task", "MISSION")
    return f"""
Everything is left running. Try:

  {ctl} mission list
  {ctl} mission get {vendor}
  {ctl} stream list
  {ctl} mission suspend {vendor} --reason "let me look" --until 30s --on-expiry resume
  {ctl} mission revoke {vendor} --reason "enough"
  {ctl} mission create {MISSIONS}/incident-response.json --expires-in 2h
  curl --cacert {world.authority.ca_file} -H "Authorization: Bearer $(cat {world.directory}/agent.token)" \\
       -H "Mission-Id: {vendor}" {world.url('resource_server')}/invoices
  tail -f {world.directory}/agent-{vendor}.log

The audit of what has happened (docs/audit.md):

  grep '"permit".*{task}' {world.directory}/resource_server.log | head -1
  {ctl} --json mission get {task}
  {ctl} mission history {task}
  {ctl} audit --mission {task}
  {ctl} audit --verify
  {ctl} mission tree {story.missions.get("errand", "MISSION")}

{database_hint(world)}
Logs and state are in {world.directory}. Ctrl-C stops all of it and removes them.
"""


def database_hint(world) -> str:
    if world.database is None:
        return f"There is no database here: {world.no_database}."
    psql = world.database
    ctl = f"{world.program('missionctl')} --config {world.missionctl_config}"
    return f"""A PostgreSQL role for a mission, and how it goes with it:

  {ctl} mission create {MISSIONS}/quarterly-report.json --expires-in 2h
  curl --cacert {world.authority.ca_file} -H "Authorization: Bearer $(cat {world.directory}/agent.token)" \\
       --json '{{"mission_id":"MISSION","secret":"ledger-db"}}' {world.url('pam_broker')}/roles
  PGPASSWORD={psql.passwords['super']} psql -h {psql.folder} -U super -d ledger -c '\\du mission_*'
  {ctl} mission revoke MISSION
  grep '"teardown".*mission_' {world.directory}/pam_broker.log
"""


def wait_for_stop():
    with contextlib.suppress(KeyboardInterrupt):
        signal.pause()


def main() -> int:
    parser = argparse.ArgumentParser(prog="./dev run", description=__doc__)
    parser.add_argument("--build-dir", type=pathlib.Path, required=True, help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", help="the last line is one JSON object")
    parser.add_argument("--stay", action="store_true", help="leave all running until Ctrl-C")
    parser.add_argument("--keep", action="store_true", help="keep logs and state afterwards")
    options = parser.parse_args()

    def interrupted(*_):
        raise KeyboardInterrupt

    signal.signal(signal.SIGTERM, interrupted)
    # The watching threads are many and short of breath.
    sys.setswitchinterval(0.0005)
    os.umask(0o077)  # nobody else's: logs, state and keys
    directory = pathlib.Path(tempfile.mkdtemp(prefix="mission-run-"))
    timeline = Timeline()
    world = World(options.build_dir.resolve(), directory)
    answer = {"ok": False}
    try:
        timeline.phase("start", "transmitter, broker, resource server, orchestrator, vault, token server")
        world.start_all()
        world.start_tokens()
        for name, process in world.processes.items():
            timeline.note(f"{name:<20} pid {process.pid:<8} port {world.ports[name]}")
        if world.database is not None:
            timeline.note(f"{'PostgreSQL':<20} pid {world.database.process.pid:<8} a socket")
        else:
            timeline.note(f"without a database: {world.no_database}")
        story = Story(world, timeline)
        answer = story.tell()
        timeline.phase("end", "ok" if answer["ok"] else "not ok")
        if options.json:
            print(json.dumps(answer), flush=True)
        if options.stay:
            print(hints(world, story), file=sys.stderr if options.json else sys.stdout, flush=True)
            wait_for_stop()
    except StartFailed as e:
        timeline.problem(str(e))
        if options.json:
            print(json.dumps({"ok": False, "error": str(e)}), flush=True)
    except KeyboardInterrupt:
        answer = {"ok": False}
        timeline.problem("interrupted")
    finally:
        # A second Ctrl-C does not leave half of it running.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        world.stop_all()
        if options.keep or not (answer["ok"] or options.stay):
            print(f"logs and state: {directory}", file=sys.stderr)
        else:
            shutil.rmtree(directory, ignore_errors=True)
    return 0 if answer["ok"] else 1


if __name__ == "__main__":
    sys.exit(main())
