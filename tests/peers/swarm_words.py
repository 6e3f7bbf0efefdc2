"""Types each line of a table at two clients of one engine and compares status, output and the first line of what went wrong.

`@line` is typed at docker alone (to set the scene); `%X` is the client's own object (dx or mx). Identifiers, times, ages and how many run just now are not compared.
"""
import difflib, os, re, shlex, subprocess, sys

HOST, TABLE = sys.argv[1:3]
CLIENTS = {"dx": ["docker"], "mx": [os.environ["MINIDOCK"]]}


def typed(client, line):
    env = dict(os.environ, DOCKER_HOST=HOST, MINIDOCK_HOST=HOST)
    done = subprocess.run(client + shlex.split(line), env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=120)
    return done.returncode, done.stdout, done.stderr


def plain(text, own):
    text = re.sub(rf"\b{own}\b", "XX", re.sub(r"\bdocker ", "minidock ", text))
    for pattern, word in [
        (r"\b[a-z0-9]{25}\b", "<id>"),
        (r"\b(?=[a-z]*[0-9])[a-z0-9]{12}\b|^[a-z0-9]{12}(?=   )", "<short>"),
        (r"(\d+|About an?|about an?|Less than a|less than a) (seconds?|minutes?|hours?)", "<time>"),
        (r'"(Created|Updated|Started|Completed)At": "[^"]*"', '"At"'),
        (r'"LastExecution": "[^"]*"', '"Last"'),
        (r'"Index": \d+', '"Index"'),
        (r"SWM(TKN|KEY)-1-\S+", "<secret>"),
        (r"\b3000\d\b", "<port>"),
        (r"( |\")\d+/(\d+)", r"\1#/\2"),
        (r"<time> +", "<time> "),
    ]:
        text = re.sub(pattern, word, text, flags=re.M)
    return text


def refusal(text, own):
    first = (plain(text, own).strip() or "\n").split("\n")[0]
    return re.sub(r"^(minidock: )?(Error: )?", "", first)


failures = lines = 0
for line in open(TABLE).read().splitlines():
    if not line.strip() or line.startswith("#"):
        continue
    if line.startswith("@"):
        status, _, error = typed(CLIENTS["dx"], line[1:])
        assert status == 0, (line, error)
        continue
    lines += 1
    theirs, ours = [(own, *typed(client, line.replace("%X", own))) for own, client in CLIENTS.items()]
    wanted, got = [(status, plain(out, own), refusal(err, own)) for own, status, out, err in (theirs, ours)]
    if wanted != got:
        failures += 1
        print(f"FAILED: {line}\n  status {wanted[0]} {got[0]}\n  docker   {wanted[2]}\n  minidock {got[2]}")
        print("\n".join("  " + d for d in difflib.unified_diff(wanted[1].split("\n"), got[1].split("\n"), "docker", "minidock", lineterm="", n=0)))
print(f"{lines} lines, {failures} differ")
sys.exit(failures != 0)
