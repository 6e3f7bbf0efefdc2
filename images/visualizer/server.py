"""Nodes as columns, tasks as boxes: everything shown is asked of GET /nodes, /services, /tasks (or, without a swarm,
/containers/json) over /var/run/docker.sock.
"""

import http.client
import json
import os
import socket
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

SOCKET = os.environ.get("DOCKER_SOCKET", "/var/run/docker.sock")

PAGE = """<!DOCTYPE html>
<html><head><meta charset="utf-8"><title>Visualizer</title>
<style>
body { font-family: sans-serif; background: #254356; color: white }
.node { display: inline-block; vertical-align: top; width: 260px; margin: 8px; padding: 8px; border: 1px solid #7fb4d0; border-radius: 6px }
.task { background: #eef6fa; color: #123; margin: 6px 0; padding: 6px; border-radius: 4px; font-size: 85%; border-left: 8px solid #bbb }
.running { border-left-color: #2a2 } .failed, .rejected { border-left-color: #c22 } small { color: #9ac }
</style></head><body><h2 id="title">Docker Swarm Visualizer</h2><div id="nodes">…</div>
<script>
const box = (cls, ...lines) => { const d = document.createElement("div"); d.className = cls;
  for (const l of lines) { const p = document.createElement("div"); p.textContent = l; d.append(p); } return d; };
async function show() {
  const root = document.getElementById("nodes");
  try {
    const s = await (await fetch("state")).json();
    root.replaceChildren(...s.nodes.map(n => { const d = box("node", n.name, n.role + " · " + n.state, n.memory);
      for (const t of n.tasks) d.append(box("task " + t.state, t.name, "image : " + t.image, "state : " + t.state, "id : " + t.container)); return d; }));
  } catch (e) { root.textContent = "the engine does not answer: " + e; }
}
show(); setInterval(show, 1000);
</script></body></html>
"""


class Engine(http.client.HTTPConnection):
    """HTTP over the engine's socket."""

    def __init__(self):
        super().__init__("localhost", timeout=10)

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(SOCKET)


def ask(path):
    engine = Engine()
    try:
        engine.request("GET", path)
        answer = engine.getresponse()
        body = json.loads(answer.read() or b"null")
        if answer.status != 200:
            raise OSError(body.get("message", answer.reason))
        return body
    finally:
        engine.close()


def swarm():
    services = {s["ID"]: s["Spec"]["Name"] for s in ask("/services")}
    tasks = [t for t in ask("/tasks") if t["DesiredState"] == "running"]
    nodes = []
    for node in ask("/nodes"):
        described = node["Description"]
        here = [t for t in tasks if t.get("NodeID") == node["ID"]]
        nodes.append({
            "name": described["Hostname"],
            "role": node["Spec"]["Role"],
            "state": node["Status"]["State"],
            "memory": "%.3fG RAM" % (described["Resources"].get("MemoryBytes", 0) / 2**30),
            "tasks": [{
                "name": "%s.%s" % (services.get(t["ServiceID"], "?"), t.get("Slot", "")),
                "image": t["Spec"]["ContainerSpec"]["Image"].split("@")[0],
                "state": t["Status"]["State"],
                "container": t["Status"].get("ContainerStatus", {}).get("ContainerID", "")[:12],
            } for t in here],
        })
    return sorted(nodes, key=lambda n: n["name"])


def alone():
    info = ask("/info")
    tasks = [{
        "name": c["Names"][0].lstrip("/"), "image": c["Image"], "state": c["State"], "container": c["Id"][:12],
    } for c in ask("/containers/json")]
    return [{"name": info["Name"], "role": "not in a swarm", "state": "ready", "memory": "%.3fG RAM" % (info["MemTotal"] / 2**30), "tasks": tasks}]


def state():
    try:
        return {"nodes": swarm()}
    except (OSError, KeyError):
        return {"nodes": alone()}


class Page(BaseHTTPRequestHandler):
    def do_GET(self):
        status, kind, body = 200, "text/html; charset=utf-8", PAGE
        if self.path.split("?")[0] == "/state":
            kind = "application/json"
            try:
                body = json.dumps(state())
            except (OSError, ValueError, KeyError) as error:
                status, body = 503, json.dumps({"error": str(error)})
        body = body.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


if __name__ == "__main__":
    print("Listening on port 8080")
    ThreadingHTTPServer(("", 8080), Page).serve_forever()
