#!/usr/bin/env python3
"""Builds as ratios in one run: minidock against its own containers, the tools underneath, Docker's classic builder and buildah.

Everything happens in a network namespace of its own. Ways that are compared are taken in turn, so that a busy minute is shared.
`--quick` takes fewer files and fewer bytes; `--json FILE` writes the rows for benches/measure.py.
"""
import json, os, pathlib, shutil, statistics, subprocess, sys, tempfile, time

from rows import row, rows

TOP = pathlib.Path(__file__).resolve().parent.parent
MINIDOCK = os.environ.get("MINIDOCK", str(TOP / "target/release/minidock"))
QUICK = "--quick" in sys.argv
if "--inside" not in sys.argv:
    words = ["unshare", "-n", "-m", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", sys.executable, __file__, "--inside", *sys.argv[1:]]
    sys.exit(subprocess.run(words).returncode)
work = pathlib.Path(tempfile.mkdtemp(prefix="minidock-bench-"))
fleeting = pathlib.Path(tempfile.mkdtemp(prefix="minidock-bench-", dir="/dev/shm"))
ALPINE = TOP / "target/images/alpine.tar"
FILES, MIB, TURNS = (2000, 256, 3) if QUICK else (10000, 1024, 5)
started = []


def run(words, env=None, **more):
    done = subprocess.run(words, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, **more)
    assert done.returncode == 0, (words, done.stderr)
    return done.stdout


def start(words, ready, seconds=40):
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=open(work / f"log-{len(started)}", "w"), stdin=subprocess.DEVNULL)
    started.append(process)
    deadline = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > deadline or process.poll() is not None:
            return None
        time.sleep(0.05)
    return process


def medians(turns, ways):
    """Medians of several ways of doing a thing; the first turn is for warming up."""
    took = {name: [] for name in ways}
    for turn in range(turns + 1):
        for name, way in ways.items():
            before, f = way if isinstance(way, tuple) else (lambda: None, way)
            before()
            began = time.perf_counter()
            f()
            if turn > 0:
                took[name].append((time.perf_counter() - began) * 1000)
    return {name: statistics.median(all) for name, all in took.items()}


def context(name, dockerfile):
    folder = work / name
    folder.mkdir()
    (folder / "Dockerfile").write_text(dockerfile)
    return folder


def peak_mib(process):
    status = pathlib.Path(f"/proc/{process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024


def builders(env):
    """How a folder is built without a cache: by us, by Docker's classic builder and by buildah, if they are here."""
    ways = {"minidock": lambda folder: run([MINIDOCK, "build", "-q", "--no-cache", "-t", "it", str(folder)], env)}
    if shutil.which("dockerd") and shutil.which("docker"):
        root = work / "docker"
        host = f"unix://{root}.sock"
        theirs = dict(os.environ, DOCKER_HOST=host, DOCKER_BUILDKIT="0")
        ready = lambda: subprocess.run(["docker", "version"], env=theirs, capture_output=True).returncode == 0
        if start(["dockerd", f"--data-root={root}", f"--exec-root={fleeting}/docker", f"--pidfile={root}.pid", f"--host={host}", "--bridge=none", "--iptables=false"], ready):
            run(["docker", "import", "--change", 'CMD ["sh"]', str(ALPINE), "alpine"], theirs)
            ways["docker's classic builder"] = lambda folder: run(["docker", "build", "-q", "--no-cache", "--network", "host", "-t", "it", str(folder)], theirs)
    if shutil.which("buildah"):
        buildah = ["buildah", "--root", str(work / "buildah"), "--runroot", str(fleeting / "buildah"), "--storage-driver", "overlay"]
        try:
            made = run([*buildah, "from", "scratch"]).strip()
            run([*buildah, "add", made, str(ALPINE), "/"])
            run([*buildah, "commit", made, "localhost/alpine"])
            bud = [*buildah, "bud", "-q", "--layers", "--no-cache", "--isolation", "chroot", "--build-arg", "BASE=localhost/alpine"]
            ways["buildah"] = lambda folder: run([*bud, str(folder)])
        except AssertionError as error:
            print(f"buildah is left out: {error}", file=sys.stderr)
    return ways


def compared(what, folder, ways, more, limits):
    """One row a peer: our time as a ratio to theirs."""
    took = medians(TURNS, {**{name: lambda way=way: way(folder) for name, way in ways.items()}, **more})
    for name in took:
        if name != "minidock":
            row(what, took["minidock"], against=name, base=took[name], limit=limits.get(name))
    return took["minidock"]


def main():
    env = dict(os.environ, MINIDOCK_HOST=f"unix://{work}/sock", MINIDOCK_CONFIG=str(work / "config"))
    ready = lambda: subprocess.run([MINIDOCK, "version"], env=env, capture_output=True).returncode == 0
    daemon = start([MINIDOCK, "daemon", f"--data-root={work}/data", f"--exec-root={fleeting}/exec", "-H", f"unix://{work}/sock"], ready)
    assert daemon, "the daemon does not start"
    run([MINIDOCK, "import", "--change", 'CMD ["sh"]', str(ALPINE), "alpine"], env)
    ways = builders(env)

    steps = ["ARG BASE=alpine", "FROM $BASE"] + [f"ENV A{n}={n}" for n in range(9)] + ["COPY Dockerfile /x"] + [f"RUN true {n}" for n in range(9)]
    folder = context("cached", "\n".join(steps) + "\n")
    cached = lambda: run([MINIDOCK, "build", "-q", "-t", "it", str(folder)], env)
    row("a cached build of 20 steps", medians(3 * TURNS, {"it": cached})["it"], limit="100")

    folder = context("runs", "ARG BASE=alpine\nFROM $BASE\n" + "".join(f"RUN true {n}\n" for n in range(10)))
    ten = lambda: [run([MINIDOCK, "run", "--rm", "--network", "none", "alpine", "sh", "-c", f"true {n}"], env) for n in range(10)]
    compared("a build of ten trivial RUN", folder, ways, {"ten containers": ten}, {"ten containers": "2", "docker's classic builder": "0.2"})
    folder = context("words", "ARG BASE=alpine\nFROM $BASE\n" + "".join(f"ENV A{n}={n}\nLABEL l{n}={n}\n" for n in range(10)))
    compared("a build of twenty ENV and LABEL", folder, ways, {}, {"docker's classic builder": "0.2"})

    folder = context("files", "ARG BASE=alpine\nFROM $BASE\nCOPY files /files\n")
    for n in range(FILES):
        file = folder / f"files/{n % 100}/{n}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(os.urandom(2048))
    tree, copy = folder / "files", work / "copy"
    gone = lambda: shutil.rmtree(copy, ignore_errors=True)
    tools = lambda: run(["sh", "-c", f"cp -a {tree} {copy} && find {copy} -type f -print0 | xargs -0 sha256sum"])
    compared(f"COPY of {FILES} files", folder, ways, {"cp -a and sha256sum": (gone, tools)}, {"cp -a and sha256sum": "2"})
    gone()
    unchanged = medians(TURNS, {"it": lambda: run([MINIDOCK, "build", "-q", "-t", "it", str(folder)], env)})["it"]
    row("the same, cached", unchanged)

    folder = context("large", "FROM scratch\nCOPY data /data\n")
    subprocess.run(f"head -c {MIB}M /dev/urandom >{folder}/data", shell=True, check=True)
    run([MINIDOCK, "build", "-q", "-t", "large", str(folder)], env)
    row(f"the daemon's peak memory, COPY of a file of {MIB} MiB", peak_mib(daemon), "MiB", limit="100")
    shutil.rmtree(folder)
    run([MINIDOCK, "save", "-o", str(work / "large.tar"), "large"], env)
    run([MINIDOCK, "rmi", "large"], env)
    run([MINIDOCK, "load", "-i", str(work / "large.tar")], env)
    row(f"the daemon's peak memory, save and load of it too", peak_mib(daemon), "MiB", limit="100")


try:
    main()
finally:
    for process in reversed(started):
        process.terminate()
        process.wait()
    if "--json" in sys.argv:
        pathlib.Path(sys.argv[sys.argv.index("--json") + 1]).write_text(json.dumps(rows))
    subprocess.run(["umount", str(fleeting / "docker/netns/default")], capture_output=True)  # dockerd leaves it mounted
    for folder in (work, fleeting):
        shutil.rmtree(folder, ignore_errors=True)
