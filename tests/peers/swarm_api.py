#!/usr/bin/env python3
"""The same questions to a Docker Engine and to minidock, each a swarm of one; the answers field by field. swarm_api.py DOCKER_SOCKET OURS
IDs, times, versions and what names the machine are not compared. OURS_KNOWS_BETTER are refusals whose status or words differ on purpose."""
import http.client, json, re, socket, sys, time
from urllib.parse import quote

OURS_KNOWS_BETTER = {  # dockerd answers 500 (or takes what cannot be); we answer 400 and say what is wrong
    "update out of sequence", "no operator", "desired-state filter", "role filter", "rollback option", "registryAuthFrom", "tail value",
    "choose at least one stream", "invalid port", "invalid publish mode", "network nosuch not found", "Pool overlaps", "invalid subnet",
    "invalid filter", "invalid JSON", "Use `--force`",
}
IGNORED = {"minidock", "DefaultAddrPool", "Plugins", "EngineVersion", "TrustRoot", "CertIssuerPublicKey", "CertIssuerSubject", "Index", "PID", "NoNewPrivileges"}


class Engine:
    def __init__(self, path):
        self.path = path

    def ask(self, method, path, body=None):
        c = http.client.HTTPConnection("localhost", timeout=30)
        c.sock = socket.socket(socket.AF_UNIX)
        c.sock.settimeout(30)
        c.sock.connect(self.path)
        text = None if body is None else json.dumps(body)
        c.request(method, "/v1.41" + path, text, {"Content-Type": "application/json"} if text else {})
        answer = c.getresponse()
        text = answer.read().decode()
        try:
            return answer.status, json.loads(text)
        except ValueError:
            return answer.status, text

    def version(self, path):
        return self.ask("GET", path)[1]["Version"]["Index"]


def plain(value):
    if isinstance(value, dict):
        return {k: plain(v) for k, v in value.items() if k not in IGNORED}
    if isinstance(value, list):
        return [plain(v) for v in value]
    if isinstance(value, str):
        value = re.sub(r"\b[0-9a-z]{25}\b|\b[0-9a-f]{64}\b|\d{4}-\d\d-\d\dT[\d:.]+Z|SWMTKN\S+|SWMKEY\S+", "<>", value)
        return value.replace("minidock swarm", "docker swarm")
    return value


def f(**k):
    return "filters=" + quote(json.dumps({a.replace("__", "."): [b] for a, b in k.items()}))


C = {"Image": "alpine", "Command": ["sleep", "1000"], "StopGracePeriod": 100000000}
def spec(name="web", container=None, **k):
    return {"Name": name, "TaskTemplate": {"ContainerSpec": {**C, **(container or {})}, **k.pop("task", {})}, "Mode": {"Replicated": {"Replicas": 1}}, **k}
FULL = spec("full", {"Labels": {"c": "d"}, "Env": ["A=1"], "Dir": "/bin", "User": "0", "Groups": ["1"], "Init": True, "StopSignal": "SIGINT", "TTY": True,
    "Healthcheck": {"Test": ["CMD", "true"], "Interval": 10**9, "Timeout": 2 * 10**9, "StartPeriod": 3 * 10**9, "Retries": 4}, "Hosts": ["10.0.0.1 a"],
    "DNSConfig": {"Nameservers": ["127.0.0.1"], "Search": ["s"], "Options": ["o"]}, "CapabilityAdd": ["CAP_SYS_TIME"], "Ulimits": [{"Name": "nofile", "Soft": 100, "Hard": 200}],
    "Mounts": [{"Type": "tmpfs", "Target": "/t", "TmpfsOptions": {"SizeBytes": 1000000, "Mode": 448}}, {"Type": "volume", "Source": "v", "Target": "/v", "Consistency": "default"}]},
    Labels={"a": "b"}, task={"Resources": {"Limits": {"NanoCPUs": 500000000, "MemoryBytes": 50000000, "Pids": 100}, "Reservations": {"NanoCPUs": 100000000}},
    "RestartPolicy": {"Condition": "on-failure", "Delay": 10**9, "MaxAttempts": 3, "Window": 4 * 10**9}, "LogDriver": {"Name": "json-file", "Options": {"max-size": "1m"}},
    "Placement": {"Constraints": ["node.role == worker"], "Preferences": [{"Spread": {"SpreadDescriptor": "node.labels.x"}}], "MaxReplicas": 2}, "ForceUpdate": 2},
    UpdateConfig={"Parallelism": 2, "Delay": 10**9, "FailureAction": "rollback", "Monitor": 5 * 10**9, "MaxFailureRatio": 0.4, "Order": "start-first"},
    EndpointSpec={"Mode": "vip", "Ports": [{"Name": "http", "TargetPort": 80, "PublishedPort": 8099}, {"Protocol": "udp", "TargetPort": 81, "PublishMode": "host", "PublishedPort": 8098}, {"TargetPort": 82}]})
D = "aGVsbG8="


def questions(e):
    """Yields what is asked; the answer comes back from `yield` where the next question needs it."""
    yield "GET", "/swarm"
    yield "POST", "/swarm/leave"
    yield "GET", "/nodes"
    yield "GET", "/nodes?" + f(role="king")
    yield "GET", "/nodes/nosuch"
    for k in ("secrets", "configs"):
        for body in ({"Name": "a", "Data": D, "Labels": {"l": "1"}}, {"Name": "a", "Data": D}, {"Name": "", "Data": D}, {"Name": "b", "Data": ""}, {"Name": "b!", "Data": D}, {"Name": "b", "Data": "***"}):
            yield "POST", f"/{k}/create", body
        yield "GET", f"/{k}"
        yield "POST", f"/{k}/a/update", {"Name": "a"}
        yield "POST", f"/{k}/a/update?version=1", {"Name": "a"}
        yield "POST", f"/{k}/a/update?version={e.version(f'/{k}/a')}", {"Name": "a", "Data": "b3RoZXI="}
        yield "POST", f"/{k}/a/update?version={e.version(f'/{k}/a')}", {"Name": "a", "Labels": {"z": "1"}}
        yield "GET", f"/{k}/a"
        yield "DELETE", f"/{k}/a"
        yield "DELETE", f"/{k}/a"
    yield "POST", "/networks/create", {"Name": "o", "Driver": "overlay", "Labels": {"x": "y"}, "Attachable": True, "IPAM": {"Config": [{"Subnet": "10.9.0.0/24", "Gateway": "10.9.0.1"}]}}
    for body in ({"Name": "o", "Driver": "overlay"}, {"Name": "bad name!", "Driver": "overlay"}, {"Name": "p", "Driver": "overlay", "Scope": "local"}, {"Name": "p", "Driver": "overlay", "Ingress": True}, {"Name": "o", "Driver": "bridge"}):
        yield "POST", "/networks/create", body
    time.sleep(1)
    yield "GET", "/networks/o"
    yield "GET", "/networks?" + f(driver="overlay", label="x=y")
    yield "DELETE", "/networks/o"
    for body in ({}, spec("-x"), spec("x" * 64), spec(container={"Image": "BAD IMAGE"}), spec(container={"Image": ""}), spec(task={"Runtime": "foo"}), spec(UpdateConfig={"Order": "sideways"}),
                 spec(Mode={"Replicated": {"Replicas": 1}, "Global": {}}), spec(task={"RestartPolicy": {"Condition": "sometimes"}}), spec(task={"Resources": {"Limits": {"NanoCPUs": 5}}}),
                 spec(task={"Placement": {"Constraints": ["node.role"]}}), spec(task={"Networks": [{"Target": "nosuch"}]}), spec(EndpointSpec={"Mode": "foo"}),
                 spec(container={"Secrets": [{"SecretID": "x", "SecretName": "n"}]}), spec(container={"Mounts": [{"Target": "/x", "Type": "foo"}]}), FULL, spec("clash", EndpointSpec={"Ports": [{"TargetPort": 80, "PublishedPort": 8099}]})):
        yield "POST", "/services/create", body
    time.sleep(2)
    yield "GET", "/services/full"
    yield "GET", "/services/full?insertDefaults=1"
    yield "DELETE", "/services/full"
    yield "POST", "/services/create", spec()
    for _ in range(100):
        if any(t["Status"]["State"] == "running" for t in e.ask("GET", "/tasks?" + f(service="web"))[1]):
            break
        time.sleep(0.1)
    yield "GET", "/services?status=true"
    yield "GET", "/services/web?insertDefaults=true"
    yield "GET", "/tasks?" + f(service="web")
    yield "GET", "/tasks?" + f(service="nosuch")
    now = e.ask("GET", "/services/web")[1]
    version = now["Version"]["Index"]
    for query in ("?version=1", "", f"?version={version}&rollback=previous", f"?version={version}&rollback=foo", f"?version={version}&registryAuthFrom=foo"):
        yield "POST", "/services/web/update" + query, now["Spec"]
    yield "POST", f"/services/web/update?version={version}", {**now["Spec"], "Name": "other"}
    yield "POST", f"/services/web/update?version={version}", {**now["Spec"], "Mode": {"Global": {}}}
    yield "GET", "/services/web/logs"
    yield "DELETE", "/services/web"
    yield "DELETE", "/services/web"


theirs, ours = Engine(sys.argv[1]), Engine(sys.argv[2])
asked = differ = 0
for one, other in zip(questions(theirs), questions(ours)):
    a, b = theirs.ask(*one), ours.ask(*other)
    x, y = (a[0], plain(a[1])), (b[0], plain(b[1]))
    asked += 1
    if x != y and not any(words in str(b[1]) for words in OURS_KNOWS_BETTER):
        differ += 1
        print("differs:", *one[:2], json.dumps(one[2])[:200] if len(one) > 2 else "", "\n  docker  ", json.dumps(x), "\n  minidock", json.dumps(y))
print(f"{asked} questions to two swarms, {differ} answers differ")
sys.exit(differ > 0)
