"""Is the model worth anything? Each mutation takes one rule out of the receiver; the model has to
find a history in which that permits what has ended, or denies what has to be permitted.

    mutations.py BUILD [NAME...]    after `cmake --build BUILD --target test_receiver_model`

Works on copies: one source is compiled anew, and linked in front of the library it is from.
MISSION_MODEL_STEPS: how many steps each is given at most (3,000,000; the rare ones
need them)."""

import json
import os
import pathlib
import re
import shlex
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[3]
TARGET = "test_receiver_model"
TIMEOUT = 600  # seconds, for one run
FOUND = re.compile(r"world \d+ after (\d+) steps: (.*)")

# (name, source, what stands there, what stands there instead)
MUTATIONS = [
    ("a version that is known is applied again", "receiver/cache/apply.cpp",
     "if (c.version <= before.version) return out;",
     "if (c.version < before.version) return out;"),
    ("an old event is applied", "receiver/cache/apply.cpp",
     "if (c.version <= before.version) return out;",
     "if (c.version == before.version) return out;"),
    ("an older Status lowers a version", "receiver/cache/apply.cpp",
     "if (same && s.version < before.version) {",
     "if (same && s.version < 0) {"),
    ("Status may permit at a version that denied", "receiver/cache/apply.cpp",
     'if (repeated && s.state == "active" && before.state != s.state) {',
     'if (repeated && s.state.empty()) {'),
    ("an event of another history is ignored", "receiver/cache/apply.cpp",
     "        next.gap = true;\n        if (c.state != \"active\") next.denied_as = c.state;\n",
     ""),
    ("authority outlives a version that Status skipped", "receiver/cache/apply.cpp",
     "} else if (s.version > before.version || !same) {",
     "} else if (!same) {"),
    ("authority outlives a gap", "receiver/cache/apply.cpp",
     "    } else if (!in_order) {\n", "    } else if (c.version < 1) {\n"),
    ("a SET that was settled before confirms", "receiver/engine/engine_stream.cpp",
     "a.confirms = a.confirms && fresh_.vouches(c.log_epoch, iat);", ""),
    ("a SET of a forgotten mission confirms", "receiver/engine/engine_stream.cpp",
     "if (!confirmed && iat <= horizon_) a.confirms = false;", "(void)confirmed;"),
    ("what finds no room is acknowledged at once", "receiver/engine/engine_stream.cpp",
     "state_.submit({}, acknowledging(std::move(done)));\n        return {};\n    }\n    a.next",
     "later.push_back([done = std::move(done)] { done({}); });\n        return {};\n    }\n    a.next"),
    ("another continuity begins no epoch", "receiver/freshness/freshness.cpp",
     "if (broken) begin_epoch();", ""),
    ("another stream begins no epoch", "receiver/freshness/freshness.cpp",
     "if (another_stream) d_.continuity.reset();\n    begin_epoch();",
     "if (another_stream) d_.continuity.reset();"),
    ("the first continuity of a stream says nothing", "receiver/freshness/freshness.cpp",
     "(d_.continuity ? *d_.continuity != h.continuity : confirmed_unanchored_)",
     "(d_.continuity && *d_.continuity != h.continuity)"),
    ("a heartbeat counts from its receipt", "receiver/freshness/freshness.cpp",
     "const auto basis = std::min(to_milliseconds(h.as_of), receipt.wall);\n",
     "const auto basis = receipt.wall;\n"),
    ("a heartbeat has no age", "receiver/freshness/freshness.cpp",
     "receipt.mono + bound - std::max<std::int64_t>(age, 0)",
     "receipt.mono + bound - 0 * age"),
    ("an answer that was overtaken decides", "receiver/engine/engine.cpp",
     "} else if (overtaken) {", "} else if (overtaken && !word.has_value()) {"),
    ("an answer from before the epoch confirms in it", "receiver/engine/engine.cpp",
     "if (asked.epoch != fresh_.word().epoch) a.confirms = false;", ""),
    ("an old copy of the state is believed", "receiver/engine/engine.cpp",
     "fresh_.on_doubt();", ""),
    ("an answer is as young as its coming", "receiver/engine/engine_missions.cpp",
     "if (since < now.mono) fresh_until.mono", "if (since < 0) fresh_until.mono"),
    ("who is forgotten leaves no trace", "receiver/engine/engine_missions.cpp",
     "    evicted_at(key.id) = ++revision_;\n    counts_.missions_evicted",
     "    counts_.missions_evicted"),
    ("a lost state leaves no trace", "receiver/engine/engine_load.cpp",
     "raise_horizon(before_this_second(hooks_.now()), w);", ""),
]


def text_with(source, old, new):
    text = (ROOT / source).read_text()
    if text.count(old) != 1:
        sys.exit(f"{source}: {text.count(old)} times: {old!r}")
    return text.replace(old, new)


def commands(build):
    """How each source is compiled, and how the test is linked."""
    compiled = {}
    for entry in json.loads((build / "compile_commands.json").read_text()):
        if "/mission_receiver.dir/" in entry["command"]:
            compiled[entry["file"]] = shlex.split(entry["command"])
    lines = subprocess.run(["ninja", "-C", build, "-t", "commands", TARGET], check=True,
                           capture_output=True, text=True).stdout.splitlines()
    link = next(line for line in reversed(lines) if f"-o {linked(build)} " in line)
    return compiled, shlex.split(link.removeprefix(": && ").removesuffix(" && :"))


def linked(build):
    (found,) = build.glob(f"tests/**/{TARGET}")
    return found.relative_to(build)


def outcome(build, compiled, link, folder, mutation):
    name, source, old, new = mutation
    copy, made, program = folder / "mutated.cpp", folder / "mutated.o", folder / "mutated"
    copy.write_text(text_with(source, old, new))
    command = list(compiled[str(ROOT / source)])
    command[command.index("-o") + 1] = str(made)
    command[command.index("-c") + 1] = str(copy)
    for flag in ("-MT", "-MF"):
        if flag in command:
            command[command.index(flag) + 1] = str(folder / "mutated.d")
    subprocess.run([*command, "-Wno-error"], cwd=build, check=True)
    command = list(link)
    command[command.index("-o") + 1] = str(program)
    command.insert(next(i for i, part in enumerate(command) if part.endswith(".o")), str(made))
    subprocess.run(command, cwd=build, check=True)
    steps = os.environ.get("MISSION_MODEL_STEPS", "3000000")
    run = subprocess.run([program], capture_output=True, text=True, timeout=TIMEOUT, check=False,
                         env={**os.environ, "MISSION_MODEL_BRIEF": "1",
                              "MISSION_MODEL_STEPS": steps})
    found = FOUND.search(run.stdout)
    return f"after {found[1]} steps: {found[2]}" if found else None


def main(build, *names):
    build = pathlib.Path(build).resolve()
    chosen = [m for m in MUTATIONS if not names or m[0] in names]
    for _, source, old, new in chosen:
        text_with(source, old, new)
    compiled, link = commands(build)
    survivors = []
    for mutation in chosen:
        with tempfile.TemporaryDirectory() as folder:
            found = outcome(build, compiled, link, pathlib.Path(folder), mutation)
        print(f"{mutation[0]}: {found or 'NOT FOUND'}", flush=True)
        if not found:
            survivors.append(mutation[0])
    print(f"{len(chosen) - len(survivors)} of {len(chosen)} mutations found")
    return 1 if survivors or not chosen else 0


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
