"""Builds each Dockerfile of a table with two daemons and compares: outcome, files, configuration, history, cache."""
import bz2, gzip, hashlib, io, itertools, json, lzma, os, re, subprocess, sys, tarfile, tempfile

OURS, THEIRS, TABLE = sys.argv[1:4]
ONLY = sys.argv[4:]


def docker(host, *words, **more):
    env = dict(os.environ, DOCKER_BUILDKIT="0", DOCKER_HOST=host)
    return subprocess.run(["docker", *words], env=env, capture_output=True, **more)


def tar_of(names):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, content in names.items():
            entry = tarfile.TarInfo(name)
            entry.mtime, entry.mode, entry.uid, entry.gid = 1000, 0o640, 11, 12
            if content is None:
                entry.type, entry.mode = tarfile.DIRTYPE, 0o750
                tar.addfile(entry)
            else:
                entry.size = len(content)
                tar.addfile(entry, io.BytesIO(content))
    return out.getvalue()


def context(folder):
    def write(name, content, mode=0o644):
        path = os.path.join(folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(content)
        os.chmod(path, mode)

    for name, content in {"a.txt": b"a\n", "b.txt": b"bb\n", "name with space": b"s", "sub/deep/d.txt": b"d", "sub/other/d.txt": b"o",
                          "default/deep": b"deep", "sub/e": b"", "ignored/x": b"x", "notatar.gz": b"\x1f\x8bnot a tar"}.items():
        write(name, content)
    write("exe", b"#!/bin/sh\n", 0o4755)
    os.chmod(os.path.join(folder, "sub/deep"), 0o700)
    os.symlink("a.txt", os.path.join(folder, "link"))
    os.symlink("sub", os.path.join(folder, "linkdir"))
    os.symlink("../b.txt", os.path.join(folder, "sub/up"))
    archive = tar_of({"in/": None, "in/x": b"x", "y": b"y"})
    write("t.tar", archive)
    for end, how in {"gz": gzip, "bz2": bz2, "xz": lzma}.items():
        write(f"t.tar.{end}", how.compress(archive))
    write("names/one", b"1")
    os.mkdir(os.path.join(folder, "names/sub"))
    for other in ("names/two", "names/sub/three"):
        os.link(os.path.join(folder, "names/one"), os.path.join(folder, other))
    write("capable", b"c", 0o755)
    os.setxattr(os.path.join(folder, "capable"), "security.capability", bytes.fromhex("0100000200200000000000000000000000000000"))
    write(".dockerignore", b"ignored\n*ocker*\n")


def tree(host, image):
    made = docker(host, "create", image, "x")
    if made.returncode:
        return made.stderr.decode()
    name = made.stdout.decode().strip()
    archive = docker(host, "export", name).stdout
    docker(host, "rm", "-v", name)
    found = {}
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        for e in tar:
            path = e.name.strip("/").removeprefix("./")
            # what an engine itself puts into every container
            if path in ("", ".", ".dockerenv", "etc/hosts", "etc/hostname", "etc/resolv.conf", "etc/mtab", "dev/console", "dev", "proc", "sys", "etc",
                        "dev/pts", "dev/shm"):
                continue
            content = hashlib.sha256(tar.extractfile(e).read()).hexdigest()[:12] if e.isreg() else ""
            when = int(e.mtime) if e.isreg() and e.mtime < 1e9 else "now"
            capable = e.pax_headers.get("SCHILY.xattr.security.capability", "")
            found[path] = (e.type.decode(), oct(e.mode & 0o7777), e.uid, e.gid, e.linkname, content, when, capable)
    return found


def facts(host, name, folder):
    first = docker(host, "build", "-t", name, folder)
    again = docker(host, "build", "-t", name, folder)
    out = first.stdout.decode()
    steps = re.findall(r"^(Step .*|Successfully tagged .*|# Executing.*)$", out, re.M)
    cache = [line for line in again.stdout.decode().splitlines() if line.startswith("Step") or line == " ---> Using cache"]
    found = {"status": first.returncode, "steps": steps, "cache": cache}
    if first.returncode:
        found["error"] = re.sub(r"[0-9a-f]{12,64}", "ID", first.stderr.decode().strip().splitlines()[-1])
        found["tagged"] = docker(host, "image", "inspect", name).returncode == 0
        return found
    image = json.loads(docker(host, "image", "inspect", name).stdout)[0]
    config = {k: v for k, v in image["Config"].items() if v not in (None, "", [], {}, False) and k not in ("Image", "ArgsEscaped")}
    found["config"] = config
    found["author"] = image.get("Author", "")
    found["layers"] = len(image["RootFS"]["Layers"])
    history = docker(host, "history", "--no-trunc", "--format", "{{.CreatedBy}}", name).stdout.decode()
    found["history"] = re.sub(r"(file|dir|multi):[0-9a-f]{64}", r"\1:HASH", history).splitlines()
    found["tree"] = tree(host, name)
    return found


def table():
    name, text = None, []
    for line in open(TABLE):
        if line.startswith("=== "):
            if name:
                yield name, "".join(text)
            name, text = line[4:].strip(), []
        else:
            text.append(line)
    yield name, "".join(text)


wrong = total = 0
for name, text in table():
    if ONLY and name not in ONLY:
        continue
    total += 1
    with tempfile.TemporaryDirectory() as folder:
        context(folder)
        with open(os.path.join(folder, "Dockerfile"), "w") as file:
            file.write(text)
        ours, theirs = facts(OURS, f"case-{name}", folder), facts(THEIRS, f"case-{name}", folder)
    different = [key for key in sorted(set(ours) | set(theirs)) if ours.get(key) != theirs.get(key)]
    # errors are ours to word; that both fail, at the same step, with the same status and nothing tagged, is compared
    if "error" in different and "error" in ours and "error" in theirs:
        print(f"  {name}: ours   {ours['error']}\n  {name}: theirs {theirs['error']}")
        different.remove("error")
    if different:
        wrong += 1
        print(f"DIFFERS {name}: {', '.join(different)}")
        for key in different:
            mine, other = ours.get(key), theirs.get(key)
            if isinstance(mine, dict) and isinstance(other, dict):
                for path in sorted(set(mine) | set(other)):
                    if mine.get(path) != other.get(path):
                        print(f"    {key} {path}: ours {mine.get(path)} theirs {other.get(path)}")
            elif isinstance(mine, list) and isinstance(other, list):
                for a, b in itertools.zip_longest(mine, other):
                    if a != b:
                        print(f"    {key}: ours {a!r} theirs {b!r}")
            else:
                print(f"    {key}: ours {mine} theirs {other}")
print(f"{total} Dockerfiles, {wrong} differ")
sys.exit(bool(wrong))
