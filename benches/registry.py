#!/usr/bin/env python3
"""Pull and push as ratios in one run: minidock against its own `image load`, skopeo and the tools underneath.

Everything happens on the loopback of a network namespace of its own. The registry is Debian's docker-registry and, beside it, ours.
`--quick` takes a third of the bytes; `--json FILE` writes the rows for benches/measure.py.
"""
import json, os, pathlib, shutil, subprocess, sys, tempfile, time

from rows import row, rows

TOP = pathlib.Path(__file__).resolve().parent.parent
MINIDOCK = os.environ.get("MINIDOCK", str(TOP / "target/release/minidock"))
QUICK = "--quick" in sys.argv
if "--inside" not in sys.argv:
    words = ["unshare", "-n", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", sys.executable, __file__, "--inside", *sys.argv[1:]]
    sys.exit(subprocess.run(words).returncode)
work = pathlib.Path(tempfile.mkdtemp(prefix="minidock-bench-"))
started = []
LAYERS, MIB = 6, 16 if QUICK else 50


def start(words, port=None, **more):
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=open(work / f"log-{len(started)}", "w"), stdin=subprocess.DEVNULL, **more)
    started.append(process)
    deadline = time.monotonic() + 20
    while port and subprocess.run(["sh", "-c", f"exec 3<>/dev/tcp/127.0.0.1/{port}"], executable="/bin/bash", stderr=subprocess.DEVNULL).returncode != 0:
        assert time.monotonic() < deadline and process.poll() is None, words
        time.sleep(0.02)
    return process


class Daemon:
    def __init__(self, name):
        self.root = work / name
        self.env = dict(os.environ, MINIDOCK_HOST=f"unix://{self.root}.sock", MINIDOCK_CONFIG=str(self.root / "config"))
        self.process = start([MINIDOCK, "daemon", f"--data-root={self.root}/data", f"--exec-root={self.root}/exec", "-H", f"unix://{self.root}.sock"])
        deadline = time.monotonic() + 20
        while self.run("version").returncode != 0:
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def run(self, *words):
        return subprocess.run([MINIDOCK, *words], env=self.env, stdin=subprocess.DEVNULL, capture_output=True, text=True)

    def ok(self, *words):
        done = self.run(*words)
        assert done.returncode == 0, (words, done.stderr)
        return done.stdout

    def peak_mib(self):
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024


def timed(f, *words):
    subprocess.run(["sync"])
    began = time.perf_counter()
    f(*words)
    return (time.perf_counter() - began) * 1000


def best(rounds, before, f):
    """The quickest of some rounds: what the machine does besides only ever adds."""
    took = []
    for _ in range(rounds):
        before()
        took.append(timed(f))
    return min(took)


def made(layers, mib, name):
    """An archive of `docker save` with plain layers: half noise, half text."""
    folder = work / f"made-{name}"
    folder.mkdir()
    diffs = []
    for nth in range(layers):
        tree = folder / f"tree{nth}"
        tree.mkdir()
        for file in range(mib * 2):
            (tree / f"f{nth}-{file}").write_bytes(os.urandom(256 << 10) + (b"%06d some text " % file) * 18724)
        subprocess.run(["tar", "--sort=name", "-C", tree, "-cf", folder / f"layer{nth}.tar", "."], check=True)
        shutil.rmtree(tree)
        diffs.append("sha256:" + subprocess.run(["sha256sum", folder / f"layer{nth}.tar"], check=True, capture_output=True, text=True).stdout.split()[0])
    machine = {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, os.uname().machine)
    config = {"architecture": machine, "os": "linux", "config": {}, "rootfs": {"type": "layers", "diff_ids": diffs}}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "manifest.json").write_text(json.dumps([{"Config": "config.json", "RepoTags": [name], "Layers": [f"layer{n}.tar" for n in range(layers)]}]))
    archive = work / f"{name.replace(':', '-')}.tar"
    subprocess.run(["tar", "-C", folder, "-cf", archive, "."], check=True)
    shutil.rmtree(folder)
    return archive


def main():
    theirs = shutil.which("docker-registry")
    if theirs:
        config = work / "config.yml"
        config.write_text(f"version: 0.1\nlog:\n  level: error\nstorage:\n  filesystem:\n    rootdirectory: {work}/theirs\nhttp:\n  addr: 127.0.0.1:5001\n")
        start([theirs, "serve", str(config)], 5001)
    start([MINIDOCK, "registry", "serve", "--quiet", "--root", str(work / "ours"), "--listen", "127.0.0.1:5000"], 5000)
    source = Daemon("source")
    archive = made(LAYERS, MIB, "big:1")
    source.ok("load", "-i", str(archive))
    size = archive.stat().st_size >> 20
    source.ok("tag", "big:1", "localhost:5000/big:1")
    plain = timed(source.ok, "push", "-q", "localhost:5000/big:1")
    one = timed(lambda: subprocess.run(f"gzip -4 <{archive} >/dev/null", shell=True, check=True))
    row(f"push of {size} MiB in {LAYERS} plain layers (compressing)", plain, against="gzip -4 on one core", base=one, limit="1 / cores, or a little more")
    source.ok("tag", "big:1", "localhost:5000/again:1")
    row("push of the same to another repository (mounted)", timed(source.ok, "push", "-q", "localhost:5000/again:1"))
    if theirs:
        source.ok("tag", "big:1", "localhost:5001/big:1")
        row("push, compressed already, to docker-registry", timed(source.ok, "push", "-q", "localhost:5001/big:1"))
    packed = work / "packed.tar"
    source.ok("save", "-o", str(packed), "big:1")
    archive.unlink()

    target = Daemon("target")
    forget = lambda: target.run("rmi", "-f", *target.run("image", "ls", "-q").stdout.split())
    base = best(3, forget, lambda: target.ok("load", "-i", str(packed)))
    row(f"image load of the same, {packed.stat().st_size >> 20} MiB compressed", base)
    row("pull from our registry", best(3, forget, lambda: target.ok("pull", "-q", "localhost:5000/big:1")), against="image load", base=base, limit="1.3")
    if theirs:
        row("pull from docker-registry", best(3, forget, lambda: target.ok("pull", "-q", "localhost:5001/big:1")), against="image load", base=base, limit="1.3")
    if shutil.which("skopeo") and theirs:
        gone = lambda: shutil.rmtree(work / "copied", ignore_errors=True)
        copy = best(2, gone, lambda: subprocess.run(["skopeo", "copy", "-q", "--src-tls-verify=false", "docker://localhost:5001/big:1", f"oci:{work}/copied:big"], check=True))
        row("skopeo copy from docker-registry (unpacks nothing)", copy, against="minidock's load", base=base)
    forget()
    packed.unlink()

    # one large layer: memory must not grow with it
    noise = work / "noise"
    noise.mkdir()
    mib = 256 if QUICK else 1024
    subprocess.run(f"head -c {mib}M /dev/urandom >{noise}/data && tar -C {noise} -cf {work}/noise.tar . && rm -r {noise}", shell=True, check=True)
    source.ok("import", str(work / "noise.tar"), "localhost:5000/large:1")
    (work / "noise.tar").unlink()
    fresh = Daemon("fresh")
    source.ok("push", "-q", "localhost:5000/large:1")
    row(f"the daemon's peak memory, push of a layer of {mib} MiB", source.peak_mib(), "MiB", limit="100")
    fresh.ok("pull", "-q", "localhost:5000/large:1")
    row(f"the daemon's peak memory, pull of a layer of {mib} MiB", fresh.peak_mib(), "MiB", limit="100")


try:
    main()
finally:
    for process in reversed(started):
        process.terminate()
        process.wait()
    if "--json" in sys.argv:
        pathlib.Path(sys.argv[sys.argv.index("--json") + 1]).write_text(json.dumps(rows))
    shutil.rmtree(work, ignore_errors=True)
