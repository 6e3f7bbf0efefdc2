#!/usr/bin/env python3
"""What a swarm's data plane costs, as ratios in one run: containers on an overlay network of two nodes against two stations whose bridges are joined
by a vxlan made with ip(8) by hand; a service's virtual IP against the task's own address, alone and beside a hundred other services; a port
of the mesh on a machine that has no task against the task's own address from there.

Like network.py, from which it takes its tools, it starts itself anew in a network namespace of its own. `--quick`, `--json FILE` as there.
"""
import json, os, pathlib, shutil, statistics, sys, tempfile

import network
from network import MINIDOCK, QUICK, SECONDS, TOP, TURNS, Namespace, children, row, rows, run, wait_for

OTHERS = 20 if QUICK else 100


class Swarm:
    """Two nodes, one overlay network, a task on each: `near` on node1 asks, `far` on node2 answers."""

    def __init__(self, daemon):
        self.daemon = daemon
        daemon.ok("cluster", "up", "--nodes", "2")
        self.ok("network", "create", "-d", "overlay", "shop")
        self.service("near", "--constraint", "node.hostname==node1")
        self.service("far", "--constraint", "node.hostname==node2", "-p", "9001:5001/udp")
        wait_for("both tasks", lambda: self.ok("service", "ls", "--format", "{{.Replicas}}").split() == ["1/1", "1/1"])
        self.pids = {node: self.ok("inspect", "-f", "{{.State.Pid}}", self.ok("ps", "-q", node=node), node=node) for node in ("node1", "node2")}
        inspected = json.loads(self.ok("inspect", self.ok("ps", "-q", node="node2"), node="node2"))[0]
        self.task = inspected["NetworkSettings"]["Networks"]["shop"]["IPAddress"]
        shop = self.ok("network", "inspect", "-f", "{{.ID}}", "shop")
        vips = json.loads(self.ok("service", "inspect", "far"))[0]["Endpoint"]["VirtualIPs"]
        self.vip = next(vip["Addr"] for vip in vips if vip["NetworkID"] == shop).split("/")[0]
        self.ingress = inspected["NetworkSettings"]["Networks"]["ingress"]["IPAddress"]

    def ok(self, *words, node="node1"):
        return self.daemon.ok("--node", node, *words)

    def service(self, name, *flags, replicas=1):
        self.ok("service", "create", "-d", "--no-resolve-image", "--name", name, "--network", "shop", "--replicas", replicas, *flags, "alpine", "sleep", "100000")

    def load(self, node, *words, cpu, machine=False):
        """The load in the task of a node, or in the node itself."""
        there = [] if machine else ["nsenter", "-t", self.pids[node], "-n"]
        program = [*there, "taskset", "-c", str(cpu), str(network.here / "load"), *map(str, words)]
        return [MINIDOCK, "cluster", "exec", node, "--", *program]

    def numbers(self, *words, machine=False):
        return [float(n) for n in self.daemon.ok(*self.load("node1", *words, cpu=1, machine=machine)[1:]).split()]

    def serve(self):
        for words in (("echo", 5001), ("sink", 5002)):
            children.append(network.subprocess.Popen(self.load("node2", *words, cpu=0), env=self.daemon.env, stdin=network.subprocess.DEVNULL))
        network.await_load(lambda *words: self.load("node1", *words, cpu=1), self.task, self.daemon.env)


class Bare:
    """The same by hand: two machines on a bridge, on each a bridge with a station, joined by a vxlan."""

    def __init__(self):
        run("ip", "link", "add", "under0", "up", "type", "bridge")
        self.machines, self.stations = [Namespace(), Namespace()], [Namespace(), Namespace()]
        for n, (machine, station) in enumerate(zip(self.machines, self.stations), 1):
            run("ip", "link", "add", f"under{n}", "master", "under0", "up", "type", "veth", "peer", "name", "eth0", "netns", str(machine.pid))
            machine("ip", "addr", "add", f"10.46.0.{n}/24", "dev", "eth0")
            machine("ip", "link", "set", "eth0", "up")
            machine("ip", "link", "add", "br0", "up", "type", "bridge")
            machine("ip", "link", "add", "vx0", "mtu", "1450", "master", "br0", "up", "type", "vxlan", "id", "4242", "dstport", "4789",
                    "local", f"10.46.0.{n}", "remote", f"10.46.0.{3 - n}")
            machine("ip", "link", "add", "veth0", "mtu", "1450", "master", "br0", "up", "type", "veth", "peer", "name", "eth0", "mtu", "1450",
                    "netns", str(station.pid))
            station("ip", "addr", "add", f"10.47.0.{n}/24", "dev", "eth0")
            station("ip", "link", "set", "eth0", "up")
        for words in (("echo", 5001), ("sink", 5002)):
            children.append(network.subprocess.Popen(network.inside(self.stations[1].pid, *words, cpu=0)))
        network.await_load(lambda *words: network.inside(self.stations[0].pid, *words), "10.47.0.2")

    def numbers(self, *words):
        return network.numbers(*network.inside(self.stations[0].pid, *words, cpu=1))

    def gone(self):
        for namespace in self.stations + self.machines:
            namespace.gone()


def overlay(swarm):
    bare = Bare()
    found = {"pour": ([], []), "ping": ([], []), "median": ([], [])}
    for _ in range(TURNS):
        for at, (side, address) in enumerate(((swarm, swarm.task), (bare, "10.47.0.2"))):
            found["pour"][at].append(side.numbers("pour", address, 5002, SECONDS)[0])
            rate, median, _ = side.numbers("ping", address, 5001, SECONDS)
            found["ping"][at].append(rate)
            found["median"][at].append(median)
    middle = {key: [statistics.median(values) for values in lists] for key, lists in found.items()}
    row("throughput from node to node on an overlay network", middle["pour"][0], "MiB/s", against="bare vxlan", base=middle["pour"][1], limit="0.95 or more")
    row("round trips from node to node on an overlay network", middle["ping"][0], "/s", against="bare vxlan", base=middle["ping"][1], limit="0.95 or more")
    row("latency from node to node on an overlay network", middle["median"][0], "µs", against="bare vxlan", base=middle["median"][1], limit="1.05 or less")
    bare.gone()


def balanced(swarm):
    def rates(machine, *addresses):
        """Packets of one connection, and new connections, to each of these in turn."""
        found = {(address, fresh): [] for address in addresses for fresh in (False, True)}
        for _ in range(TURNS):
            for (address, fresh), list in found.items():
                host, port = address
                list.append(swarm.numbers("ping", host, port, "0.3", *(["fresh"] if fresh else []), machine=machine)[0])
        return {key: statistics.median(list) for key, list in found.items()}

    def shown(what, to, base, values, against):
        for fresh in (False, True):
            kind = "new connections" if fresh else "packets of one connection"
            row(f"{kind} {what}", values[to, fresh], "/s", against=against, base=values[base, fresh])

    vip, task = (swarm.vip, 5001), (swarm.task, 5001)
    alone = rates(False, vip, task)
    shown("to a virtual IP", vip, task, alone, "the task's address")
    inside = (swarm.ingress, 5001)
    door = (swarm.ok("node", "inspect", "-f", "{{.Status.Addr}}", "node1"), 9001)
    mesh = rates(True, door, inside)
    shown("through the mesh, on a machine without a task", door, inside, mesh, "the task's address")
    for n in range(OTHERS):
        swarm.service(f"other{n}", "-p", f"{20000 + n}:80", replicas=0)
    beside = rates(False, vip, task)
    for fresh in (False, True):
        kind = "new connections" if fresh else "packets of one connection"
        row(f"{kind} to a virtual IP, {OTHERS} other services", beside[vip, fresh], "/s", against="alone", base=alone[vip, fresh], limit="about 1")


def main():
    network.here = pathlib.Path(tempfile.mkdtemp(prefix="minidock-bench-"))
    run("ip", "link", "set", "lo", "up")
    run("gcc", "-O2", "-static", "-pthread", "-o", network.here / "load", TOP / "benches/load.c")
    run(TOP / "images/build", env=dict(os.environ, ONLY_TAR="1"))
    daemon = None
    try:
        daemon = network.Daemon()
        swarm = Swarm(daemon)
        swarm.serve()
        overlay(swarm)
        balanced(swarm)
    finally:
        for process in children:
            process.kill()
            process.wait()
        if daemon:
            run(MINIDOCK, "cluster", "down", env=daemon.env, check=False)
            daemon.gone()
        if "--json" in sys.argv:
            pathlib.Path(sys.argv[sys.argv.index("--json") + 1]).write_text(json.dumps(rows, indent=1))
        shutil.rmtree(network.here, ignore_errors=True)


if __name__ == "__main__":
    if "--inside" not in sys.argv:
        os.execvp("unshare", ["unshare", "-n", "-m", sys.executable, *sys.argv, "--inside"])
    main()
