#!/usr/bin/env python3
"""What a container costs, as ratios in one run: minidock against the kernel's floor and against the peers installed here.

Absolute figures drift with the machine; ratios measured side by side do not. Each row names what is measured, the median in
milliseconds, what it is compared with, and the ratio. `--quick` takes fewer rounds. JSON: target/bench.json.

Peers are used where they are installed: runc, nsenter (util-linux), skopeo, umoci, and a private dockerd (in its own network and
mount namespace, on its own roots).
"""
import concurrent.futures, json, os, pathlib, shutil, statistics, subprocess, sys, tempfile, time

from bare import Floor
from client import started
from rows import row, rows

TOP = pathlib.Path(__file__).resolve().parent.parent
MINIDOCK = os.environ.get("MINIDOCK", str(TOP / "target/release/minidock"))
QUICK = "--quick" in sys.argv
ROUNDS = 15 if QUICK else 60
work = pathlib.Path(tempfile.mkdtemp(prefix="minidock-bench-"))
fleeting = pathlib.Path(tempfile.mkdtemp(prefix="minidock-bench-", dir="/dev/shm"))  # as /run is: the exec root lies in memory


def timed_ms(command, env=None):
    began = time.perf_counter()
    done = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, env=env)
    took = (time.perf_counter() - began) * 1000
    if done.returncode != 0:
        raise SystemExit(f"{command}: status {done.returncode}: {done.stderr.decode()}")
    return took


def median_ms(command, rounds=ROUNDS, env=None, warm=2):
    return statistics.median([timed_ms(command, env) for _ in range(rounds + warm)][warm:])


def in_turn(turns, **ways):
    """Medians of several ways of doing a thing, measured in turn, so that a busy minute is shared by all. Each way gives back some
    milliseconds, or a list of them."""
    took = {name: [] for name in ways}
    for turn in range(turns + 1):
        for name, way in ways.items():
            got = way()
            if turn > 0:  # the first is for warming up
                took[name] += got if isinstance(got, list) else [got]
    return {name: statistics.median(all) for name, all in took.items()}


class Daemon:
    def __init__(self):
        self.socket = work / "sock"
        self.env = dict(os.environ, MINIDOCK_HOST=f"unix://{self.socket}")
        self.process = subprocess.Popen(
            ["unshare", "-n", MINIDOCK, "daemon", f"--data-root={work}/data", f"--exec-root={fleeting}/exec", "-H", f"unix://{self.socket}"],
            stdout=subprocess.DEVNULL, stderr=open(work / "daemon.log", "w"), stdin=subprocess.DEVNULL)
        wait_for(lambda: self.run("version").returncode == 0)

    def run(self, *words):
        return subprocess.run([MINIDOCK, *words], env=self.env, stdin=subprocess.DEVNULL, capture_output=True, text=True)

    def ok(self, *words):
        done = self.run(*words)
        assert done.returncode == 0, (words, done.stderr)
        return done.stdout.strip()


def wait_for(fact, seconds=20):
    deadline = time.monotonic() + seconds
    while not fact():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.01)


def docker():
    """A real Docker Engine of its own, or None where there is none."""
    if not (shutil.which("dockerd") and shutil.which("docker")):
        return None, None
    root = work / "docker"
    root.mkdir()
    host = f"unix://{root}/sock"
    process = subprocess.Popen(
        ["unshare", "-n", "-m", "dockerd", "--data-root", f"{root}/data", "--exec-root", f"{fleeting}/docker", "--pidfile", f"{root}/pid", "-H", host,
         "--bridge=none", "--iptables=false"], stdout=subprocess.DEVNULL, stderr=open(root / "log", "w"), stdin=subprocess.DEVNULL)
    env = dict(os.environ, DOCKER_HOST=host)
    try:
        wait_for(lambda: subprocess.run(["docker", "version"], env=env, capture_output=True).returncode == 0, 40)
    except AssertionError:
        process.terminate()
        return None, None
    subprocess.run(["docker", "import", "--change", 'CMD ["sh"]', str(TOP / "target/images/alpine.tar"), "alpine:latest"], env=env, check=True, stdout=subprocess.DEVNULL)
    return process, env


def start_up(daemon, docker_env):
    rounds = lambda command, env=None, n=max(2, ROUNDS // 6): lambda: [timed_ms(command, env) for _ in range(n)]
    fleeting_run = ["run", "--rm", "--network", "none", "alpine", "true"]
    floor = Floor(work)
    ways = {"floor": lambda: floor.one(max(2, ROUNDS // 6)), "mine": rounds([MINIDOCK, *fleeting_run], daemon.env)}
    if docker_env:
        ways["docker"] = rounds(["docker", *fleeting_run], docker_env, 2)
    if shutil.which("runc"):
        bundle = work / "bundle"
        bundle.mkdir()
        subprocess.run(["runc", "spec"], cwd=bundle, check=True)
        config = json.loads((bundle / "config.json").read_text())
        config["process"]["args"], config["process"]["terminal"] = ["/bin/true"], False
        config["process"].pop("rlimits", None)
        config["root"]["path"] = str(work / "bare/lower")
        (bundle / "config.json").write_text(json.dumps(config))
        ways["runc"] = rounds(["runc", "--root", str(fleeting / "runc"), "run", "-b", str(bundle), "bench"])
        ways["alone"] = rounds([MINIDOCK, "runtime", "--root", str(fleeting / "rt"), "run", "-b", str(bundle), "bench"])
    took = in_turn(6, **ways)
    mine = took["mine"]
    row("the kernel's floor for one container", took["floor"])
    row("run --rm --network none alpine true", mine, against="the floor", base=took["floor"], limit="3, aim 2")
    if "docker" in took:
        row("docker run --rm --network none alpine true", took["docker"], against="minidock's", base=mine, limit="at least 20")
    if "runc" in took:
        row("runc run (a ready bundle)", took["runc"], against="minidock's whole run", base=mine, limit="at least 2")
        row("minidock runtime run (the same bundle)", took["alone"], against="runc's", base=took["runc"])
    row("minidock --version (start of the client)", median_ms([MINIDOCK, "--version"]), limit="3 ms")


def exec_speed(daemon):
    daemon.ok("run", "-d", "--name", "idle", "--network", "none", "alpine", "sleep", "3600")
    pid = daemon.ok("inspect", "-f", "{{.State.Pid}}", "idle")
    ours, theirs = [MINIDOCK, "exec", "idle", "true"], ["nsenter", "-t", pid, "-m", "-u", "-i", "-n", "-p", "/bin/true"]
    took = in_turn(ROUNDS, ours=lambda: timed_ms(ours, daemon.env), theirs=lambda: timed_ms(theirs))
    row("nsenter into a container, true", took["theirs"])
    row("exec idle true", took["ours"], against="nsenter", base=took["theirs"], limit="3")
    shim = next(p for p in pathlib.Path("/proc").glob("[0-9]*") if is_parent(p, pid))
    row("the shim's private memory", private_kib(shim) / 1024, "MiB", limit="1.5, aim 1")


def is_parent(folder, pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return f"PPid:\t{folder.name}\n" in status


def private_kib(folder):
    text = (folder / "smaps_rollup").read_text().splitlines()
    return sum(int(line.split()[1]) for line in text if line.startswith(("Private_Clean", "Private_Dirty")))


def many(daemon):
    total = 40 if QUICK else 200

    def one(i):
        began = time.perf_counter()
        started(daemon.socket, f"many{i}", "none")
        return time.perf_counter() - began

    began = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(10) as clients:
        took = list(clients.map(one, range(total)))
    seconds = time.perf_counter() - began
    row(f"create+start of {total} containers by 10 clients", total / seconds, "/s", against="the floor by ten at once", base=Floor(work / "many").rate(total), limit="150/s where the floor does 280")
    tenth = total // 10
    row("the last tenth against the first", statistics.median(took[-tenth:]) * 1000, against="the first tenth", base=statistics.median(took[:tenth]) * 1000, limit="about 1")
    rss = next(int(line.split()[1]) for line in pathlib.Path(f"/proc/{daemon.process.pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    row(f"the daemon's resident memory with {total} containers", rss / 1024, "MiB")
    daemon.ok("rm", "-f", *daemon.ok("ps", "-aq").split())


def idle(daemon):
    fields = lambda: sum(int(n) for n in pathlib.Path(f"/proc/{daemon.process.pid}/stat").read_text().rsplit(")", 1)[1].split()[11:13])
    time.sleep(4)  # until it knows that it is idle, and has given back what served its start
    ticks, seconds = fields(), 5
    time.sleep(seconds)
    row("the idle daemon's CPU", (fields() - ticks) / os.sysconf("SC_CLK_TCK") / seconds * 100, "%", limit="0.1")
    rss = next(int(line.split()[1]) for line in pathlib.Path(f"/proc/{daemon.process.pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    row("the idle daemon's resident memory", rss / 1024, "MiB", limit="20")


def load(daemon, docker_env):
    """A many-file image: several layers, gzip, as `docker save` writes them."""
    source = work / "big"
    for layer in range(3):
        for folder in range(40 if QUICK else 150):
            path = source / f"layer{layer}" / f"d{folder}"
            path.mkdir(parents=True)
            for file in range(40):
                (path / f"f{file}").write_bytes(os.urandom(4096) + b"text " * (800 + 37 * file % 900))
    archive = work / "big.tar"
    subprocess.run(["tar", "-C", source, "-cf", archive, "."], check=True)
    daemon.ok("import", str(archive), "big:latest")
    saved = work / "saved.tar"
    daemon.ok("save", "-o", str(saved), "big:latest")
    daemon.ok("rmi", "big:latest")
    layers = work / "layers"
    layers.mkdir()
    packed = work / "big.tar.gz"
    subprocess.run(["gzip", "-k", "-1", archive], check=True)
    oci = None
    if shutil.which("skopeo"):
        subprocess.run(["skopeo", "copy", "-q", f"docker-archive:{saved}", f"oci-archive:{work}/oci.tar:big:latest"], check=True)
        oci = work / "oci.tar"

    def timed(f):
        began = time.perf_counter()
        f()
        return (time.perf_counter() - began) * 1000

    base = timed(lambda: subprocess.run(f"gunzip -c {packed} | tar -C {layers} -x", shell=True, check=True))
    row(f"gunzip | tar x of {archive.stat().st_size >> 20} MiB", base)
    mine = timed(lambda: daemon.ok("load", "-i", str(oci or saved)))
    row("image load (gzip layers)" if oci else "image load", mine, against="gunzip | tar x", base=base, limit="1.3")
    if oci and shutil.which("umoci"):
        def both():
            subprocess.run(["skopeo", "copy", "-q", f"oci-archive:{oci}:big:latest", f"oci:{work}/layout:big"], check=True)
            subprocess.run(["umoci", "unpack", "--image", f"{work}/layout:big", f"{work}/unpacked"], check=True, capture_output=True)
        row("skopeo copy + umoci unpack", timed(both), against="minidock's load", base=mine)
    if docker_env:
        theirs = timed(lambda: subprocess.run(["docker", "load", "-i", saved], env=docker_env, check=True, stdout=subprocess.DEVNULL))
        row("docker load", theirs, against="minidock's load", base=mine)


def part(name):
    """What has a file of its own, and lives in network namespaces of its own."""
    told = work / f"{name}.json"
    words = [sys.executable, str(TOP / f"benches/{name}.py"), "--json", str(told), *(["--quick"] if QUICK else [])]
    subprocess.run(words, check=True, env=dict(os.environ, MINIDOCK=MINIDOCK))
    rows.extend(json.loads(told.read_text()))


def scheduler():
    """The functions that choose nodes, alone; compiled as the release is."""
    told = work / "scheduler.json"
    cargo = os.environ.get("CARGO", "cargo")
    subprocess.run([cargo, "bench", "-q", "-p", "minidock-swarm", "--bench", "scheduler", "--", "--json", str(told)], check=True, cwd=TOP)
    rows.extend(json.loads(told.read_text()))


def main():
    subprocess.run([TOP / "images/build"], check=True, env=dict(os.environ, ONLY_TAR="1"))
    daemon = Daemon()
    engine, docker_env = docker()
    try:
        subprocess.run([TOP / "images/build", "alpine"], check=True, env=dict(daemon.env, MINIDOCK=MINIDOCK), stdout=subprocess.DEVNULL)
        idle(daemon)
        start_up(daemon, docker_env)
        exec_speed(daemon)
        many(daemon)
        load(daemon, docker_env)
        for name in ("build", "network", "overlay", "swarm", "registry"):
            part(name)
        scheduler()
    finally:
        left = daemon.run("ps", "-aq").stdout.split()
        if left:
            daemon.run("rm", "-f", *left)
        daemon.process.terminate()
        daemon.process.wait()
        if engine:
            engine.terminate()
            engine.wait()
        (TOP / "target/bench.json").write_text(json.dumps(rows, indent=1))
        shutil.rmtree(work, ignore_errors=True)
        shutil.rmtree(fleeting, ignore_errors=True)


main()
