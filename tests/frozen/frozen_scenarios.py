"""How every command ends: after success, after a user's mistake, after a failed run and after Ctrl-C.

`SCENARIOS` names all; each is a function of a `Workplace` that gives what is frozen of one invocation.
"""

from __future__ import annotations

import fcntl
import io
import json
import os
import shutil
import subprocess
import termios
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np

from tests.frozen.frozen_made_runs import copied_tree
from tests.frozen.frozen_memory import descendants
from tests.frozen.frozen_workplace import (
    BRIEF,
    DATA_SET,
    LONGEST_SECONDS,
    SMALL_BENCH,
    Ended,
    Workplace,
    default_signals,
    end,
    environment,
    script,
)

EXPECTED = Path(__file__).parent / "expected"
PUBLISHED = "cube-single-play-v0"
ENDLESS = ("offline_steps=1000000", "checkpoint_every=10", "eval_every=1000000", "logger=csv")


@dataclass(frozen=True)
class Scenario:
    """One invocation of a command.

    Attributes:
        observe: Makes it, in a place, with a directory of its own.
        shown: Whether the last line of standard output is the same each time.
        exact: Whether the numbers in the last lines are.
    """

    observe: Callable[[Workplace, Path], Ended]
    shown: bool
    exact: bool


SCENARIOS: dict[str, Scenario] = {}


def scenario(name: str, shown: bool = True, exact: bool = True) -> Callable[[Any], Any]:
    """Register a function as the scenario of this name."""

    def registered(observe: Callable[[Workplace, Path], Ended]) -> Callable[[Workplace, Path], Ended]:
        SCENARIOS[name] = Scenario(observe, shown, exact)
        return observe

    return registered


def simple(name: str, *words: str) -> None:
    """Register a scenario that needs nothing but its words; WORK in them is the place's directory."""

    def observe(place: Workplace, here: Path) -> Ended:
        return place.run(*(word.replace("HERE", str(here)) for word in words))

    scenario(name)(observe)


def observed(name: str, place: Workplace) -> dict[str, Any]:
    """What is frozen of a scenario."""
    one = SCENARIOS[name]
    recorded = one.observe(place, place.folder(name)).recorded(place.replaced, one.exact)
    if not one.shown:
        del recorded["stdout"]
    return recorded


# When a command is at work


def there(pattern: str, folder: Path) -> Callable[[int, Path], bool]:
    """As soon as a file of this pattern lies in or below a directory."""
    return lambda pid, out: next(folder.rglob(pattern), None) is not None


def printed(words: str) -> Callable[[int, Path], bool]:
    """As soon as the words stand on standard output."""
    return lambda pid, out: words in out.read_text(errors="replace")


def with_workers(count: int) -> Callable[[int, Path], bool]:
    """As soon as it has so many processes of its own, besides itself."""
    return lambda pid, out: len(descendants(pid)) > count


def with_busy_workers(count: int, seconds: float) -> Callable[[int, Path], bool]:
    """As soon as so many of its processes, besides itself, have each used the processor for so long."""

    def ready(pid: int, out: Path) -> bool:
        return sum(processor_seconds(one) >= seconds for one in descendants(pid)[1:]) >= count

    return ready


def processor_seconds(pid: int) -> float:
    """The processor time that a process has used; 0 of one that is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def with_open(file: Path) -> Callable[[int, Path], bool]:
    """As soon as it has a file open."""

    def ready(pid: int, out: Path) -> bool:
        found = False
        with suppress(OSError):
            for descriptor in Path(f"/proc/{pid}/fd").iterdir():
                with suppress(OSError):
                    found |= os.readlink(descriptor) == str(file)
        return found

    return ready


# qam-train


@scenario("qam-train: success")
def _(place: Workplace, here: Path) -> Ended:
    place.offline()
    return place.made["offline"]


@scenario("qam-train: success with an online phase")
def _(place: Workplace, here: Path) -> Ended:
    place.online()
    return place.made["online"]


@scenario("qam-train: success of a population")
def _(place: Workplace, here: Path) -> Ended:
    place.population()
    return place.made["population"]


simple("qam-train: help", "qam-train", "--help")
simple("qam-train: unknown algo", "qam-train", "algo=qan", "run_dir=HERE/run")
simple("qam-train: unknown key", "qam-train", "algo.inv_tmp=3", "run_dir=HERE/run")
simple("qam-train: value out of range", "qam-train", "batch_size=0", "run_dir=HERE/run")
simple("qam-train: no grammar", "qam-train", "algo.lr=[1", "run_dir=HERE/run")
simple("qam-train: a sweep without -m", "qam-train", "seed=1,2", "run_dir=HERE/run")
simple("qam-train: no data file", "qam-train", "data.path=HERE/none.npz", "run_dir=HERE/run")


@scenario("qam-train: directory that cannot be written")
def _(place: Workplace, here: Path) -> Ended:
    (here / "file").write_text("")
    return place.run(*place.tiny(here / "file" / "run"))


@scenario("qam-train: finished run again with resume=auto")
def _(place: Workplace, here: Path) -> Ended:
    shutil.copytree(place.offline(), here / "run")
    return place.run(*place.tiny(here / "run", "compare_behavior=true", "resume=auto"))


@scenario("qam-train: damaged checkpoint with resume=auto")
def _(place: Workplace, here: Path) -> Ended:
    (here / "run" / "checkpoints").mkdir(parents=True)
    whole = (place.offline() / "checkpoints" / "last.ckpt").read_bytes()
    (here / "run" / "checkpoints" / "last.ckpt").write_bytes(whole[: len(whole) // 2])
    return place.run(*place.tiny(here / "run", "resume=auto"))


@scenario("qam-train: diverged run", exact=False)
def _(place: Workplace, here: Path) -> Ended:
    return place.run(*place.tiny(here / "run", "algo.lr=1e30"))


@scenario("qam-train: Ctrl-C", shown=False)
def _(place: Workplace, here: Path) -> Ended:
    words = place.tiny(here / "run", *ENDLESS, "eval_workers=2")
    return place.interrupted(there("last.ckpt", here), *words)


@scenario("qam-train: Ctrl-C in the online phase", shown=False)
def _(place: Workplace, here: Path) -> Ended:
    words = place.tiny(here / "run", *ENDLESS, "offline_steps=0", "online_steps=1000000", "start_training=20")
    return place.interrupted(there("last.ckpt", here), *words)


# qam-train -m


def sweep(place: Workplace, here: Path, *words: str) -> list[str]:
    """The command line of a sweep of brief runs."""
    command, *overrides = place.tiny(None, *BRIEF, f"runs_root={here}/runs", *words)
    return [command, "-m", *overrides]


@scenario("qam-train -m: success")
def _(place: Workplace, here: Path) -> Ended:
    place.swept()
    return place.made["sweep"]


@scenario("qam-train -m: finished sweep again with skip_completed=true")
def _(place: Workplace, here: Path) -> Ended:
    shutil.copytree(place.swept(), here / "runs")
    return place.run(*sweep(place, here, "algo.lr=1e-3,1e-4", "skip_completed=true"))


@scenario("qam-train -m: unknown algo in one run")
def _(place: Workplace, here: Path) -> Ended:
    return place.run(*sweep(place, here, "algo=qam,qan"))


@scenario("qam-train -m: runs of one directory")
def _(place: Workplace, here: Path) -> Ended:
    return place.run(*sweep(place, here, f"run_dir={here}/run", "seed=1,2"))


@scenario("qam-train -m: one diverged run of two", exact=False)
def _(place: Workplace, here: Path) -> Ended:
    return place.run(*sweep(place, here, "algo.lr=1e-3,1e30"))


@scenario("qam-train -m: Ctrl-C")
def _(place: Workplace, here: Path) -> Ended:
    return place.interrupted(there("last.ckpt", here), *sweep(place, here, *ENDLESS, "seed=1,2"))


# qam-eval


simple("qam-eval: no words", "qam-eval")
simple("qam-eval: no checkpoint", "qam-eval", "HERE/none.ckpt")
simple("qam-eval: unknown option", "qam-eval", "HERE/none.ckpt", "--episods", "3")


@scenario("qam-eval: success", exact=False)
def _(place: Workplace, here: Path) -> Ended:
    place.evaluated()
    return place.made["evaluated"]


@scenario("qam-eval: damaged checkpoint")
def _(place: Workplace, here: Path) -> Ended:
    whole = (place.offline() / "checkpoints" / "last.ckpt").read_bytes()
    (here / "last.ckpt").write_bytes(whole[: len(whole) // 2])
    return place.run("qam-eval", f"{here}/last.ckpt")


@scenario("qam-eval: Ctrl-C")
def _(place: Workplace, here: Path) -> Ended:
    words = (f"{place.offline()}/checkpoints/last.ckpt", "--episodes", "100000", "--workers", "2")
    return place.interrupted(with_busy_workers(2, 5.0), "qam-eval", *words)


# qam-data


simple("qam-data: no verb", "qam-data")
simple("qam-data: help", "qam-data", "--help")
simple("qam-data list: success", "qam-data", "list", "--directory", "HERE")
simple("qam-data list: unknown pattern", "qam-data", "list", "atari", "--directory", "HERE")


@scenario("qam-data list: Ctrl-C", shown=False)
def _(place: Workplace, here: Path) -> Ended:
    """While no process reads its output, which is more than the pipe holds."""
    read, write = os.pipe()
    fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, 4096)
    process = subprocess.Popen(
        [script("qam-data"), "list", "--directory", str(here)], stdin=subprocess.DEVNULL, stdout=write,
        stderr=subprocess.PIPE, env=environment(), start_new_session=True, preexec_fn=default_signals, text=True,
    )  # fmt: skip
    os.close(write)
    try:
        until, waiting = time.monotonic() + LONGEST_SECONDS, 0
        while waiting < 4000:
            assert time.monotonic() < until and process.poll() is None
            size = fcntl.ioctl(read, termios.FIONREAD, b"\0\0\0\0")
            waiting = int.from_bytes(size, "little")
            time.sleep(0.01)
        time.sleep(0.2)
        os.killpg(process.pid, 2)
        with open(read, "rb") as pipe:
            pipe.read()
        return Ended(process.wait(LONGEST_SECONDS), "", process.stderr.read() if process.stderr else "")
    finally:
        end(process)


@scenario("qam-data generate: success")
def _(place: Workplace, here: Path) -> Ended:
    return place.generated()


simple(
    "qam-data generate: no transitions", "qam-data", "generate", DATA_SET, "--transitions", "0", "--directory", "HERE"
)
simple("qam-data generate: no oracle", "qam-data", "generate", "antmaze-giant-stitch-v0", "--directory", "HERE")


@scenario("qam-data generate: there already")
def _(place: Workplace, here: Path) -> Ended:
    place.generated()
    words = ("--transitions", "2000", "--workers", "1", "--directory", str(place.data))
    return place.run("qam-data", "generate", DATA_SET, *words)


@scenario("qam-data generate: Ctrl-C")
def _(place: Workplace, here: Path) -> Ended:
    words = ("--transitions", "1000000", "--workers", "2", "--directory", str(here))
    return place.interrupted(with_workers(2), "qam-data", "generate", DATA_SET, *words)


@scenario("qam-data check: success")
def _(place: Workplace, here: Path) -> Ended:
    return place.run("qam-data", "check", str(place.data_file), "--env", DATA_SET)


@scenario("qam-data check: damaged numbers")
def _(place: Workplace, here: Path) -> Ended:
    with np.load(place.data_file) as file:
        arrays = {name: file[name].copy() for name in file.files}
    arrays["actions"][5] = np.nan
    np.savez(here / "damaged.npz", **arrays)
    return place.run("qam-data", "check", str(here / "damaged.npz"), "--env", DATA_SET)


simple("qam-data check: no file", "qam-data", "check", "HERE/none.npz")


@scenario("qam-data check: Ctrl-C", shown=False)
def _(place: Workplace, here: Path) -> Ended:
    files = [here / f"{number}.npz" for number in range(1000)]
    for file in files:
        os.link(place.data_file, file)
    return place.interrupted(printed("verdict"), "qam-data", "check", *map(str, files))


@scenario("qam-data stats: success")
def _(place: Workplace, here: Path) -> Ended:
    return place.run("qam-data", "stats", str(place.data_file), "--task", "1", "--png", str(here / "stats.png"))


@scenario("qam-data stats: unknown environment")
def _(place: Workplace, here: Path) -> Ended:
    np.savez(here / "mine.npz", observations=np.zeros((2, 2)))
    return place.run("qam-data", "stats", str(here / "mine.npz"))


@scenario("qam-data stats: Ctrl-C")
def _(place: Workplace, here: Path) -> Ended:
    """While it reads a file that is large enough for that to take a moment."""
    with np.load(place.data_file) as arrays:
        np.savez(here / "large.npz", **{name: np.concatenate([arrays[name]] * 500) for name in arrays.files})
    words = (str(here / "large.npz"), "--env", DATA_SET, "--task", "1", "--png", str(here / "stats.png"))
    return place.interrupted(with_open(here / "large.npz"), "qam-data", "stats", *words)


@contextmanager
def mirror(pause: float) -> Iterator[str]:
    """The address of a web server with a published dataset, which waits after each 8 KiB."""
    file = io.BytesIO()
    np.savez(file, observations=np.random.default_rng(0).standard_normal((50_000, 1)))
    body = file.getvalue()

    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            for start in range(0, len(body), 8192):
                try:
                    self.wfile.write(body[start : start + 8192])
                except OSError:
                    return
                time.sleep(pause)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@scenario("qam-data get: success")
def _(place: Workplace, here: Path) -> Ended:
    with mirror(0) as url:
        return place.run("qam-data", "get", PUBLISHED, "--mirror", url, "--directory", str(here))


simple("qam-data get: unknown name", "qam-data", "get", "cube-single-v0", "--directory", "HERE")
simple("qam-data get: nothing answers", "qam-data", "get", PUBLISHED, "--mirror", "http://127.0.0.1:1",
       "--directory", "HERE")  # fmt: skip


@scenario("qam-data get: Ctrl-C")
def _(place: Workplace, here: Path) -> Ended:
    with mirror(0.05) as url:
        words = (PUBLISHED, "--mirror", url, "--directory", str(here))
        return place.interrupted(there("*.part", here), "qam-data", "get", *words)


# qam-verify


def case(here: Path, **changes: Any) -> Path:
    """A recorded case of the reference's sampler, with some of its arrays changed."""
    arrays = json.loads((EXPECTED / "sampler_case.json").read_text())
    case = arrays.pop("case_json")
    made = {name: np.array(array, dtype=np.int64 if name == "starts" else float) for name, array in arrays.items()}
    np.savez(here / "case.npz", case_json=np.array(case), **{**made, **changes})
    return here / "case.npz"


@scenario("qam-verify: success")
def _(place: Workplace, here: Path) -> Ended:
    return place.run("qam-verify", str(case(here)))


@scenario("qam-verify: tampered case")
def _(place: Workplace, here: Path) -> Ended:
    rewards = np.array(json.loads((EXPECTED / "sampler_case.json").read_text())["data/rewards"])
    rewards[3] += 0.01
    return place.run("qam-verify", str(case(here, **{"data/rewards": rewards})))


@scenario("qam-verify: damaged file")
def _(place: Workplace, here: Path) -> Ended:
    whole = case(here).read_bytes()
    (here / "case.npz").write_bytes(whole[: len(whole) // 2])
    return place.run("qam-verify", str(here / "case.npz"))


simple("qam-verify: no file", "qam-verify", "HERE/none.npz")
simple("qam-verify: no words", "qam-verify")


@scenario("qam-verify: Ctrl-C", shown=False)
def _(place: Workplace, here: Path) -> Ended:
    return place.interrupted(printed("ok"), "qam-verify", *[str(case(here))] * 20_000)


# qam-bench


@scenario("qam-bench: success")
def _(place: Workplace, here: Path) -> Ended:
    place.measured()
    return place.made["measured"]


simple("qam-bench: unknown algo", "qam-bench", "--algo", "qan")
simple("qam-bench: file that cannot be written", "qam-bench", "--json", "HERE/none/bench.json")


@scenario("qam-bench: Ctrl-C")
def _(place: Workplace, here: Path) -> Ended:
    return place.interrupted(printed("ms/update"), "qam-bench", *SMALL_BENCH, "--repeats", "1000000")


# qam-report


simple("qam-report: no words", "qam-report")
simple("qam-report: help", "qam-report", "--help")
simple("qam-report: no directory", "qam-report", "HERE/none")
simple("qam-report: no run", "qam-report", "HERE")


@scenario("qam-report: success")
def _(place: Workplace, here: Path) -> Ended:
    place.reported()
    return place.made["report"]


@scenario("qam-report: Ctrl-C")
def _(place: Workplace, here: Path) -> Ended:
    copied_tree(here / "tree")
    return place.interrupted(there("figures", here), "qam-report", str(here / "tree"), "--out", str(here / "out"))


# qam-reproduce


PAPER = ("qam-reproduce", "paper", "--methods", "qam", "--domains", "cube-triple-play", "--tasks", "1")

simple("qam-reproduce: help", "qam-reproduce", "--help")
simple("qam-reproduce: success", *PAPER)
simple("qam-reproduce: unknown method", "qam-reproduce", "paper", "--methods", "qan")
simple("qam-reproduce: other runs than the paper's", *PAPER, "algo.lr=3")
simple("qam-reproduce: launched run that fails", *PAPER, "--launch", "basic", "data.directory=HERE/data",
       "data.download=false", "runs_root=HERE/runs")  # fmt: skip


@scenario("qam-reproduce: Ctrl-C")
def _(place: Workplace, here: Path) -> Ended:
    with mirror(0.05) as url:
        where = (f"data.directory={here}/data", f"data.mirrors=['{url}']", f"runs_root={here}/runs")
        return place.interrupted(there("*.part", here), *PAPER, "--launch", "basic", *where)
