#!/usr/bin/env python3
"""What a container's place on a network costs, as ratios in one run: minidock against no network, against a bare veth, bridge and
DNAT set-up made with ip(8) and nft(8), and against a private dockerd where there is one.

Everything happens in network namespaces of this program's own: it starts itself anew in one. The load is benches/load.c; it is
run in the sandboxes with nsenter(1), on both sides of a comparison alike, so that only the way of the packets differs.
`--quick` takes fewer and shorter rounds; `--json FILE` writes the rows, as measure.py (which calls this) wants them.
"""
import concurrent.futures, json, os, pathlib, shutil, statistics, subprocess, sys, tempfile, time

from bare import Floor
from client import started
from rows import row, rows

TOP = pathlib.Path(__file__).resolve().parent.parent
MINIDOCK = os.environ.get("MINIDOCK", str(TOP / "target/release/minidock"))
QUICK = "--quick" in sys.argv
ROUNDS = 15 if QUICK else 60
SECONDS = "0.5" if QUICK else "2"
TURNS = 3 if QUICK else 7
here = None  # the scratch folder
children = []  # what must not outlive this program, whatever happens


def run(*words, env=None, check=True):
    done = subprocess.run([str(w) for w in words], env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if check and done.returncode != 0:
        raise SystemExit(f"{words}: status {done.returncode}: {done.stderr}")
    return done.stdout.strip()


def wait_for(what, fact, seconds=30, pause=0.005):
    deadline = time.monotonic() + seconds
    while not fact():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(pause)


class Namespace:
    """A network namespace, held by a process that sleeps in it."""

    def __init__(self):
        self.process = subprocess.Popen(["unshare", "-n", "sleep", "infinity"], stdin=subprocess.DEVNULL)
        children.append(self.process)
        mine = os.readlink("/proc/self/ns/net")
        wait_for("a network namespace", lambda: os.readlink(f"/proc/{self.process.pid}/ns/net") != mine)
        self.pid = self.process.pid
        self("ip", "link", "set", "lo", "up")

    def __call__(self, *words):
        return run("nsenter", f"--net=/proc/{self.pid}/ns/net", *words)

    def gone(self):
        self.process.kill()
        self.process.wait()


def inside(pid, *words, cpu=None):
    """The load in the network namespace of a process."""
    pin = ["taskset", "-c", str(cpu)] if cpu is not None else []
    return ["nsenter", f"--net=/proc/{pid}/ns/net", *pin, str(here / "load"), *map(str, words)]


def numbers(*words):
    return [float(n) for n in run(*words).split()]


def await_load(ask, address, env=None):
    """Waits until the echo and the sink at an address answer. `ask` makes a command line of a load's words."""
    for words in (("ping", address, 5001, "0.01"), ("pour", address, 5002, "0.01")):
        wait_for(f"an answer to {words}", lambda: float((run(*ask(*words), env=env, check=False) or "0").split()[0]) > 0)


class Daemon:
    def __init__(self):
        self.fleeting = pathlib.Path(tempfile.mkdtemp(prefix="minidock-bench-", dir="/dev/shm"))
        self.socket = here / "sock"
        self.env = dict(os.environ, MINIDOCK_HOST=f"unix://{self.socket}")
        self.process = subprocess.Popen(
            [MINIDOCK, "daemon", f"--data-root={here}/data", f"--exec-root={self.fleeting}/exec", "-H", f"unix://{self.socket}"],
            stdout=subprocess.DEVNULL, stderr=open(here / "daemon.log", "w"), stdin=subprocess.DEVNULL)
        try:
            wait_for("the daemon", lambda: subprocess.run([MINIDOCK, "version"], env=self.env, capture_output=True).returncode == 0)
            run(TOP / "images/build", "alpine", env=dict(self.env, MINIDOCK=MINIDOCK))
        except BaseException:
            self.gone()
            raise

    def ok(self, *words):
        return run(MINIDOCK, *words, env=self.env)

    def start(self, name, *flags):
        self.ok("run", "-d", "--name", name, *flags, "alpine", "sleep", "100000")
        return int(self.ok("inspect", "-f", "{{.State.Pid}}", name))

    def address(self, name, network):
        return json.loads(self.ok("inspect", name))[0]["NetworkSettings"]["Networks"][network]["IPAddress"]

    def gone(self):
        left = run(MINIDOCK, "ps", "-aq", env=self.env, check=False).split()
        if left:
            run(MINIDOCK, "rm", "-f", *left, env=self.env, check=False)
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.fleeting, ignore_errors=True)


def docker():
    """A real Docker Engine with a bridge, in a network namespace of its own; or None."""
    if not (shutil.which("dockerd") and shutil.which("docker")):
        return None, None
    root = here / "docker"
    root.mkdir()
    host = f"unix://{root}/sock"
    command = f"ip link set lo up; exec dockerd --data-root {root}/data --exec-root {root}/exec --pidfile {root}/pid -H {host}"
    process = subprocess.Popen(["unshare", "-n", "-m", "sh", "-c", command], stdout=subprocess.DEVNULL, stderr=open(root / "log", "w"), stdin=subprocess.DEVNULL)
    env = dict(os.environ, DOCKER_HOST=host)
    try:
        wait_for("dockerd", lambda: subprocess.run(["docker", "version"], env=env, capture_output=True).returncode == 0, 40)
    except AssertionError:
        process.terminate()
        process.wait()
        return None, None
    run("docker", "import", "--change", 'CMD ["sh"]', TOP / "target/images/alpine.tar", "alpine:latest", env=env)
    return process, env


def timed(*words, env):
    began = time.perf_counter()
    run(*words, env=env)
    return (time.perf_counter() - began) * 1000


def start_up(daemon, docker_env):
    """In turn, so that a slow moment of the machine hits all alike."""
    kinds = {"none": ["--network", "none"], "bridge": [], "published": ["-p", "8080:80"], "user": ["--network", "pets"]}
    daemon.ok("network", "create", "pets")
    took = {kind: [] for kind in kinds}
    for i in range(ROUNDS + 2):
        for kind, flags in kinds.items():
            ms = timed(MINIDOCK, "run", "--rm", *flags, "alpine", "true", env=daemon.env)
            if i >= 2:
                took[kind].append(ms)
    medians = {kind: statistics.median(list) for kind, list in took.items()}
    row("run --rm --network none alpine true", medians["none"])
    for kind, what in (("bridge", "on the default bridge"), ("published", "with a published port"), ("user", "on a user network, with names")):
        row(f"run --rm alpine true {what}", medians[kind], against="--network none", base=medians["none"])
    row("a published port over --network none", medians["published"] - medians["none"], limit="5 ms")
    if docker_env:
        theirs = statistics.median(timed("docker", "run", "--rm", "-p", "8080:80", "alpine", "true", env=docker_env) for _ in range(max(5, ROUNDS // 6)))
        row("docker run --rm -p 8080:80 alpine true", theirs, against="minidock's", base=medians["published"], limit="at least 25")
    daemon.start("counted", "-p", "8080:80")
    story = json.loads(daemon.ok("explain", "--json", "counted"))
    actions = [step["action"] for chapter in story["chapters"] for step in chapter["steps"]]
    changes = [a for a in actions if a["call"] == "netlink" and not a["args"][0].startswith("RTM_GET")]
    row("changes of links, addresses, routes for a sandbox with one endpoint: 3 datagrams, 1 for lo", len(changes), "")
    row("nftables transactions for it and its published port", sum(a["call"] == "nft" for a in actions), "", limit="1")
    row("microseconds of both", sum(a["took_us"] for a in actions if a in changes or a["call"] == "nft"), "µs")
    daemon.ok("rm", "-f", "counted")


def names(daemon):
    pid = daemon.start("asker", "--network", "pets")
    daemon.start("cat", "--network", "pets", "--network-alias", "food")
    subprocess.run(["taskset", "-a", "-p", "-c", "0", str(daemon.process.pid)], check=True, stdout=subprocess.DEVNULL)
    before = resident(daemon)
    rate, _, _, _ = numbers(*inside(pid, "dns", "127.0.0.11", "cat", SECONDS, 0, cpu=1))
    row("embedded DNS, the daemon on one core: answers", rate, "/s", limit="at least 20,000")
    _, median, p99, lost = numbers(*inside(pid, "dns", "127.0.0.11", "cat", SECONDS, 10000, cpu=1))
    row("embedded DNS at 10,000 questions a second: median", median, "µs")
    row("embedded DNS at 10,000 questions a second: 99th percentile", p99, "µs", limit="1000")
    row("embedded DNS at 10,000 questions a second: lost", lost, "", limit="0")
    numbers(*inside(pid, "dns", "127.0.0.11", "nosuch.example", SECONDS, 50000, cpu=1))
    row("the daemon's memory after a flood of 50,000 questions a second", resident(daemon) / 1024, "MiB", against="before", base=before / 1024)
    subprocess.run(["taskset", "-a", "-p", "-c", f"0-{os.cpu_count() - 1}", str(daemon.process.pid)], check=True, stdout=subprocess.DEVNULL)
    daemon.ok("rm", "-f", "asker", "cat")


def resident(daemon):
    lines = pathlib.Path(f"/proc/{daemon.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


class Side:
    """Two stations on a bridge, one of them with a door (port 9000) for a third outside."""

    def __init__(self, home, server, client, address):
        self.home, self.server, self.client, self.address = home, server, client, address
        self.outside = Namespace()
        home("ip", "link", "add", "out0", "type", "veth", "peer", "name", "eth0", "netns", str(self.outside.pid))
        home("ip", "addr", "add", "10.45.0.1/24", "dev", "out0")
        home("ip", "link", "set", "out0", "up")
        self.outside("ip", "addr", "add", "10.45.0.2/24", "dev", "eth0")
        self.outside("ip", "link", "set", "eth0", "up")
        self.servers = [subprocess.Popen(inside(server, "echo", 5001, cpu=0)), subprocess.Popen(inside(server, "sink", 5002, cpu=0))]
        children.extend(self.servers)
        await_load(lambda *words: inside(client, *words), address)

    def ways(self):
        """Who sends, and whereto: straight, and through the door."""
        return {"container to container": (self.client, self.address, 5001, 5002), "through a published port": (self.outside.pid, "10.45.0.1", 9001, 9002)}

    def gone(self):
        for process in self.servers:
            process.kill()
            process.wait()
        self.outside.gone()


def ours(daemon):
    server = daemon.start("server", "--network", "pets", "-p", "9001:5001/udp", "-p", "9002:5002")
    client = daemon.start("client", "--network", "pets")
    return Side(run, server, client, daemon.address("server", "pets"))


def bare():
    """The same by hand."""
    home, server, client = Namespace(), Namespace(), Namespace()
    home("ip", "link", "add", "bare0", "up", "type", "bridge")
    home("ip", "addr", "add", "10.44.0.1/24", "dev", "bare0")
    for n, station in ((2, server), (3, client)):
        home("ip", "link", "add", f"veth{n}", "master", "bare0", "up", "type", "veth", "peer", "name", "eth0", "netns", str(station.pid))
        station("ip", "addr", "add", f"10.44.0.{n}/24", "dev", "eth0")
        station("ip", "link", "set", "eth0", "up")
        station("ip", "route", "add", "default", "via", "10.44.0.1")
    home("sh", "-c", "echo 1 > /proc/sys/net/ipv4/ip_forward")
    home("nft", "table ip bare { chain in { type nat hook prerouting priority dstnat; "
         "udp dport 9001 dnat to 10.44.0.2:5001; tcp dport 9002 dnat to 10.44.0.2:5002; }; "
         "chain out { type nat hook postrouting priority srcnat; ip saddr 10.44.0.0/24 oifname != bare0 masquerade; }; "
         "chain pass { type filter hook forward priority filter; ct state established,related accept; }; }")
    return Side(home, server.pid, client.pid, "10.44.0.2"), [home, server, client]


def way(daemon):
    mine = ours(daemon)
    theirs, namespaces = bare()
    for what in mine.ways():
        results = {"pour": ([], []), "ping": ([], []), "median": ([], [])}
        for _ in range(TURNS):
            for at, side in enumerate((mine, theirs)):
                pid, address, echo, sink = side.ways()[what]
                results["pour"][at].append(numbers(*inside(pid, "pour", address, sink, SECONDS, cpu=1))[0])
                rate, median, _ = numbers(*inside(pid, "ping", address, echo, SECONDS, cpu=1))
                results["ping"][at].append(rate)
                results["median"][at].append(median)
        middle = {key: [statistics.median(list) for list in lists] for key, lists in results.items()}
        row(f"throughput {what}", middle["pour"][0], "MiB/s", against="bare", base=middle["pour"][1], limit="0.95 or more")
        row(f"round trips {what}", middle["ping"][0], "/s", against="bare", base=middle["ping"][1], limit="0.95 or more")
        row(f"latency {what}", middle["median"][0], "µs", against="bare", base=middle["median"][1], limit="1.05 or less")
    theirs.gone()
    for namespace in namespaces:
        namespace.gone()
    return mine


def ports(daemon, mine):
    """The same door, alone and beside a thousand: in turn, and the quickest turn of each, for what a packet costs is what it takes when
    nothing else happens on the machine."""
    ways = {"from the host": (os.getpid(), "127.0.0.1"), "from another machine": (mine.outside.pid, "10.45.0.1")}
    # the kernel remembers each new connection for half a minute, and more and more of them would make the later turns slower
    for kind in ("", "_stream"):
        run("sysctl", "-q", "-w", f"net.netfilter.nf_conntrack_udp_timeout{kind}=1")
    daemon.ok("create", "--name", "thousand", "-p", "10000-10999:10000-10999", "alpine", "sleep", "100000")
    found, took = {}, {}
    for turn in range(TURNS + 2):
        for others in ("alone", "beside"):
            if others == "beside":
                daemon.ok("start", "thousand")
            for who, (pid, address) in ways.items():
                for kind in ([], ["fresh"]):
                    _, median, _ = numbers(*inside(pid, "ping", address, 9001, "0.2", *kind, cpu=1))
                    found.setdefault((who, bool(kind), others), []).append(median)
            for _ in range(2 + ROUNDS // 10):
                ms = timed(MINIDOCK, "run", "--rm", "-p", "8080:80", "alpine", "true", env=daemon.env)
                took.setdefault(others, []).append(ms)
            if others == "beside":
                daemon.ok("stop", "-t", "0", "thousand")
    for who in ways:
        for fresh, kind in ((False, "packets of one connection"), (True, "new connections")):
            alone, beside = (1e6 / min(found[who, fresh, others]) for others in ("alone", "beside"))
            row(f"{kind} through a port, {who}, 1,000 others published", beside, "/s", against="alone", base=alone, limit="about 1")
    alone, beside = (statistics.median(took[others]) for others in ("alone", "beside"))
    row("run --rm -p 8080:80 with 1,000 others published", beside, against="alone", base=alone, limit="about 1")
    daemon.ok("rm", "-f", "thousand")


def crowd(daemon):
    total = 40 if QUICK else 200
    daemon.ok("network", "create", "crowd")

    def one(i):
        began = time.perf_counter()
        started(daemon.socket, f"many{i}", "crowd")
        return time.perf_counter() - began

    before = resident(daemon)
    began = time.perf_counter()
    with concurrent.futures.ThreadPoolExecutor(10) as clients:
        took = list(clients.map(one, range(total)))
    rate = total / (time.perf_counter() - began)
    row(f"{total} containers started on one network by 10 clients", rate, "/s", against="the floor by ten at once", base=Floor(here).rate(total), limit="100/s where the floor does 280")
    tenth = total // 10
    row("the last tenth against the first", statistics.median(took[-tenth:]) * 1000, against="the first tenth", base=statistics.median(took[:tenth]) * 1000, limit="about 1")
    row("the daemon's memory for each, name server included", (resident(daemon) - before) / total, "KiB")
    daemon.ok("exec", "many0", "nslookup", f"many{total - 1}")
    daemon.ok("rm", "-f", *[f"many{i}" for i in range(total)])


def main():
    global here
    here = pathlib.Path(tempfile.mkdtemp(prefix="minidock-bench-"))
    run("ip", "link", "set", "lo", "up")
    run("gcc", "-O2", "-static", "-pthread", "-o", here / "load", TOP / "benches/load.c")
    run(TOP / "images/build", env=dict(os.environ, ONLY_TAR="1"))
    daemon, engine = None, None
    try:
        daemon = Daemon()
        engine, docker_env = docker()
        start_up(daemon, docker_env)
        names(daemon)
        mine = way(daemon)
        ports(daemon, mine)
        mine.gone()
        daemon.ok("rm", "-f", "server", "client")
        crowd(daemon)
    finally:
        for process in children:
            process.kill()
            process.wait()
        if daemon:
            daemon.gone()
        if engine:
            engine.terminate()
            engine.wait()
        if "--json" in sys.argv:
            pathlib.Path(sys.argv[sys.argv.index("--json") + 1]).write_text(json.dumps(rows, indent=1))
        shutil.rmtree(here, ignore_errors=True)


if __name__ == "__main__":
    if "--inside" not in sys.argv:
        os.execvp("unshare", ["unshare", "-n", sys.executable, *sys.argv, "--inside"])
    main()
