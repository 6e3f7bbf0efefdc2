#!/usr/bin/env python3
"""What a swarm costs, in one run: simulated nodes, services, failures; beside Docker's own single-node swarm where there is a dockerd.

The tools are those of network.py. Everything happens in a network and mount namespace of this program's own: it starts itself anew in one. minidock runs on three simulated
nodes (`cluster up`), Docker on one: that is what it has on one machine. `--quick` takes fewer tasks; `--json FILE` writes the rows.
"""
import json, os, pathlib, shutil, subprocess, sys, tempfile, time

from network import MINIDOCK, QUICK, TOP, children, row, rows, run, wait_for

MANY = 20 if QUICK else 50
MORE = [] if QUICK else [100, 200]
here = None


class Engine:
    """A client of one daemon: `minidock --node node1 …`, or `docker …`."""

    def __init__(self, name, words, env):
        self.name, self.words, self.env = name, words, env

    def __call__(self, *words, check=True):
        return run(*self.words, *words, env=self.env, check=check)

    def running(self, service):
        out = self("service", "ps", service, "--filter", "desired-state=running", "--format", "{{.CurrentState}}", check=False)
        return sum(line.startswith("Running") for line in out.splitlines())

    def create(self, service, replicas, *more):
        """Seconds from the command to that many tasks running."""
        began = time.monotonic()
        self("service", "create", "-d", "--no-resolve-image", "--name", service, "--replicas", replicas, "--stop-grace-period", "0s", *more, "alpine", "sleep", "100000")
        wait_for(f"{replicas} tasks on {self.name}", lambda: self.running(service) == replicas, 300, 0.02)
        return time.monotonic() - began

    def scale(self, service, replicas):
        began = time.monotonic()
        self("service", "scale", "-d", f"{service}={replicas}")
        wait_for(f"{replicas} tasks on {self.name}", lambda: self.running(service) == replicas, 300, 0.02)
        return time.monotonic() - began

    def remove(self, service, containers):
        began = time.monotonic()
        self("service", "rm", service)
        wait_for("the containers to go", lambda: containers() == 0, 300, 0.02)
        return time.monotonic() - began


class Host:
    """A hosting daemon with the base images, and its cluster."""

    def __init__(self):
        self.env = {**os.environ, "MINIDOCK_HOST": f"unix://{here}/sock", "MINIDOCK_CONFIG": f"{here}/config"}
        log = open(here / "daemon.log", "w")
        self.process = subprocess.Popen([MINIDOCK, "daemon", f"--data-root={here}/data", f"--exec-root={here}/exec", "-H", f"unix://{here}/sock"], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
        children.append(self.process)
        wait_for("the daemon", lambda: run(MINIDOCK, "version", env=self.env, check=False) and (here / "sock").exists())
        run("sh", TOP / "images/build", env={**self.env, "MINIDOCK": MINIDOCK, "BY_IMPORT": "1"})

    def __call__(self, *words, check=True):
        return run(MINIDOCK, *words, env=self.env, check=check)

    def up(self, nodes, managers):
        began = time.monotonic()
        self("cluster", "up", "-q", "--nodes", nodes, "--managers", managers)
        return time.monotonic() - began

    def node(self, name):
        return Engine(name, [MINIDOCK, "--node", name], self.env)

    def processes(self):
        """PID 1 and everything else of all nodes."""
        found = set()
        for group in pathlib.Path("/sys/fs/cgroup").glob(f"*/minidock-cluster-{self.id()}") if not pathlib.Path("/sys/fs/cgroup/cgroup.controllers").exists() else pathlib.Path("/sys/fs/cgroup").glob(f"minidock-cluster-{self.id()}"):
            for procs in group.rglob("cgroup.procs"):
                found.update(procs.read_text().split())
        return found

    def id(self):
        return json.loads(self("cluster", "inspect"))[0]["ID"]

    def memory(self):
        total = 0
        for pid in self.processes():
            try:
                total += next(int(line.split()[1]) for line in open(f"/proc/{pid}/smaps_rollup") if line.startswith("Pss:"))
            except (OSError, StopIteration):
                pass
        return total / 1024

    def ticks(self):
        total = 0
        for pid in self.processes():
            try:
                fields = open(f"/proc/{pid}/stat").read().rsplit(")", 1)[1].split()
                total += int(fields[11]) + int(fields[12])
            except OSError:
                pass
        return total / os.sysconf("SC_CLK_TCK")

    def containers(self, nodes):
        return sum(len(self.node(name)("ps", "-q", "--filter", "label=com.docker.swarm.service.name", check=False).split()) for name in nodes)


def dockerd(host):
    """A private dockerd with a swarm of one node and our alpine; None where there is none."""
    if not shutil.which("dockerd") or not shutil.which("docker"):
        return None
    place = here / "docker"
    place.mkdir()
    socket = f"unix://{place}/sock"
    log = open(place / "log", "w")
    flags = [f"--data-root={place}/data", f"--exec-root={place}/exec", "-H", socket, f"--pidfile={place}/pid"]
    process = subprocess.Popen(["dockerd", *flags], stdout=log, stderr=log, stdin=subprocess.DEVNULL)
    children.append(process)
    engine = Engine("dockerd", ["docker", "-H", socket], dict(os.environ))
    try:
        wait_for("dockerd", lambda: process.poll() is None and engine("version", check=False) and (place / "sock").exists() and "Server" in engine("version", check=False), 60, 0.2)
    except AssertionError:
        return None
    host("save", "-o", str(here / "alpine.tar"), "alpine")
    engine("load", "-i", here / "alpine.tar")
    engine("swarm", "init", "--advertise-addr", "127.0.0.1")
    return engine


def measure():
    host = Host()
    rounds = 2 if QUICK else 5
    for nodes, limit in [(3, "1.5 s"), (10, "4 s")]:
        times = []
        for nth in range(rounds):
            times.append(host.up(nodes, 1))
            if nth == rounds - 1:
                row(f"cluster up --nodes {nodes}: memory of all nodes (Pss)", host.memory(), "MiB", limit="300 MiB" if nodes == 10 else None)
            host("cluster", "down")
        row(f"cluster up --nodes {nodes}, swarm included", sorted(times)[len(times) // 2], "s", limit=limit)
    names = ["node1", "node2", "node3"]
    host.up(3, 3)
    time.sleep(3)
    before = host.ticks()
    time.sleep(5 if QUICK else 20)
    row("idle cluster of three managers: share of a core", 100 * (host.ticks() - before) / (5 if QUICK else 20), "%", limit="1 %")
    ours = host.node("node1")
    docker = dockerd(host)
    theirs = docker.create("many", MANY) if docker else None
    row(f"service create --replicas {MANY}: all run", ours.create("many", MANY), "s", against="dockerd", base=theirs, limit="0.1")
    step = MANY // 2
    theirs = docker.scale("many", MANY + step) if docker else None
    row(f"service scale +{step}", ours.scale("many", MANY + step), "s", against="dockerd", base=theirs, limit="0.1")
    theirs = docker.remove("many", lambda: len(docker("ps", "-q").split())) if docker else None
    row(f"service rm of {MANY + step} tasks: all containers gone", ours.remove("many", lambda: host.containers(names)), "s", against="dockerd", base=theirs, limit="0.1")
    for replicas in MORE:
        row(f"service create --replicas {replicas}: seconds for each task", ours.create("more", replicas) / replicas, "s")
        ours.remove("more", lambda: host.containers(names))
    failures(host, ours)


def failures(host, ours):
    ours.create("web", 3, "--restart-delay", "0s")
    held = host.node("node2")
    container = held("ps", "-q").split()[0]
    began = time.monotonic()
    held("kill", container)
    wait_for("another container", lambda: any(c != container for c in held("ps", "-q").split()) and ours.running("web") == 3)
    row("a killed container is replaced (restart delay 0)", time.monotonic() - began, "s", limit="0.5 s")
    ours("swarm", "update", "--dispatcher-heartbeat", "1s")
    names = ["node1", "node2", "node3"]
    statuses = lambda: dict(line.split(maxsplit=1) for line in ours("node", "ls", "--format", "{{.Hostname}} {{.ManagerStatus}} {{.Status}}", check=False).splitlines())
    leads = next(name for name, status in statuses().items() if status.startswith("Leader"))
    others = [name for name in names if name != leads]
    lost = others[-1]
    host("cluster", "kill", lost)
    began = time.monotonic()
    wait_for("tasks elsewhere", lambda: host.containers([name for name in names if name != lost]) >= 3, 120, 0.02)
    row("a node dies: its tasks run elsewhere (heartbeat 1 s, promised 3)", time.monotonic() - began, "s", limit="4 s")
    host("cluster", "start", lost)
    wait_for(f"{lost} to be a manager again", lambda: statuses().get(lost) == "Reachable Ready", 60, 0.1)
    host("cluster", "kill", leads)
    began = time.monotonic()
    wait_for("a write", lambda: subprocess.run([MINIDOCK, "--node", others[0], "config", "create", f"c{time.monotonic_ns()}", "/etc/hostname"], env=host.env, capture_output=True).returncode == 0, 120, 0.02)
    row("the leader dies: the next write is acknowledged", time.monotonic() - began, "s", limit="6 s")
    wait_for("tasks elsewhere", lambda: host.containers(others) >= 3, 120, 0.02)
    row("... and its tasks run elsewhere (heartbeat 1 s: promised 3, or an election and a moment)", time.monotonic() - began, "s", limit="5 s")


def main():
    global here
    if os.environ.get("MINIDOCK_BENCH_INSIDE") != "1":
        os.execvpe("unshare", ["unshare", "-n", "-m", sys.executable, __file__, *sys.argv[1:]], {**os.environ, "MINIDOCK_BENCH_INSIDE": "1"})
    run("ip", "link", "set", "lo", "up")
    here = pathlib.Path(tempfile.mkdtemp(prefix="minidock-bench-swarm-"))
    host_env = {**os.environ, "MINIDOCK_HOST": f"unix://{here}/sock", "MINIDOCK_CONFIG": f"{here}/config"}
    try:
        measure()
    finally:
        run(MINIDOCK, "cluster", "down", env=host_env, check=False)
        docker = here / "docker"
        if docker.exists():
            run("docker", "-H", f"unix://{docker}/sock", "swarm", "leave", "--force", check=False)
            time.sleep(2)
        for child in reversed(children):
            child.terminate()
            try:
                child.wait(20)
            except subprocess.TimeoutExpired:
                child.kill()
        shutil.rmtree(here, ignore_errors=True)
    if "--json" in sys.argv:
        pathlib.Path(sys.argv[sys.argv.index("--json") + 1]).write_text(json.dumps(rows, indent=1))


main()
