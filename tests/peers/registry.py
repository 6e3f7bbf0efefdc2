"""The same requests to Debian's docker-registry and to ours: status, error code and the headers that clients look at must be the same.
Where we follow the newer specification, the difference is expected and listed. Both registries are given by their ports."""
import hashlib, http.client, json, sys

# what distribution 2.8 does and the specification 1.1 does not ask for
EXPECTED = {"the root": "a page for load balancers", "a wrong method at /v2/": "not looked at", "a bad name": "no route",
            "a finished upload": "another code", "a range behind the end": "a broken body", "tags, a page": "no pages", "a page of no number": "taken for none"}
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


def digest(body):
    return "sha256:" + hashlib.sha256(body).hexdigest()


class Talk:
    def __init__(self, port):
        self.port, self.said = port, []

    def send(self, what, method, path, body=None, headers={}, look=()):
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            status, heads, body = answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
        except Exception as broken:
            status, heads, body = type(broken).__name__, {}, b""
        try:
            code = json.loads(body)["errors"][0]["code"]
        except Exception:
            code = ""
        self.said.append((what, (status, code, {key: heads.get(key) for key in look})))
        return heads, body

    def begin(self):
        heads, _ = self.send("begin", "POST", "/v2/a/b/blobs/uploads/", look=("range",))
        return place(heads)


def place(heads):
    location = heads["location"]
    return location if location.startswith("/") else "/" + location.split("/", 3)[3]


def more(location, query):
    return location + ("&" if "?" in location else "?") + query


def scenario(port):
    t = Talk(port)
    blob, config = b"hello world" * 1000, b'{"architecture":"amd64","os":"linux","rootfs":{"type":"layers","diff_ids":[]}}'
    d, dc = digest(blob), digest(config)
    t.send("ping", "GET", "/v2/", look=("docker-distribution-api-version",))
    t.send("the root", "GET", "/")
    t.send("a wrong method at /v2/", "POST", "/v2/")
    t.send("a missing blob", "GET", f"/v2/a/b/blobs/{d}")
    t.send("a bad digest", "GET", "/v2/a/b/blobs/sha256:xx")
    t.send("a bad name", "GET", "/v2/A_/tags/list")
    t.send("no such repository", "GET", "/v2/a/b/tags/list")
    t.send("no such manifest", "GET", "/v2/a/b/manifests/x")
    t.send("nothing to delete", "DELETE", f"/v2/a/b/manifests/{d}")
    at = t.begin()
    t.send("how far", "GET", at, look=("range",))
    for nth, (start, end) in enumerate([(0, 4000), (4000, 8000)]):
        heads, _ = t.send(f"chunk {nth}", "PATCH", at, blob[start:end], {"Content-Range": f"{start}-{end - 1}", "Content-Type": "application/octet-stream"}, ("range",))
        at = place(heads)
    t.send("the last chunk", "PUT", more(at, "digest=" + d), blob[8000:], {"Content-Range": f"8000-{len(blob) - 1}"}, ("docker-content-digest",))
    t.send("a finished upload", "GET", at.split("?")[0])
    t.send("head of a blob", "HEAD", f"/v2/a/b/blobs/{d}", look=("content-length", "docker-content-digest"))
    t.send("a range", "GET", f"/v2/a/b/blobs/{d}", headers={"Range": "bytes=10-19"}, look=("content-range", "content-length"))
    t.send("the tail", "GET", f"/v2/a/b/blobs/{d}", headers={"Range": "bytes=-5"}, look=("content-range",))
    t.send("a range behind the end", "GET", f"/v2/a/b/blobs/{d}", headers={"Range": "bytes=99999999-"})
    t.send("another repository has it not", "HEAD", f"/v2/c/blobs/{d}")
    t.send("mount", "POST", f"/v2/c/blobs/uploads/?mount={d}&from=a/b", look=("docker-content-digest",))
    t.send("mount of nothing", "POST", f"/v2/c/blobs/uploads/?mount={digest(b'x')}&from=a/b")
    t.send("a wrong digest", "PUT", more(t.begin(), "digest=" + digest(b"x")), config)
    t.send("no digest", "PUT", t.begin(), config)
    t.send("all at once", "PUT", more(t.begin(), "digest=" + dc), config)
    at = t.begin()
    t.send("cancel", "DELETE", at)
    t.send("cancelled", "GET", at)
    layer = {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": d, "size": len(blob)}
    whole = {"schemaVersion": 2, "mediaType": MANIFEST, "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": dc, "size": len(config)}, "layers": [layer]}
    manifest = json.dumps(whole).encode()
    dm, kind, accept = digest(manifest), {"Content-Type": MANIFEST}, {"Accept": MANIFEST}
    t.send("put a manifest", "PUT", "/v2/a/b/manifests/v1", manifest, kind, ("docker-content-digest",))
    t.send("put by digest", "PUT", f"/v2/a/b/manifests/{dm}", manifest, kind)
    t.send("put by a wrong digest", "PUT", f"/v2/a/b/manifests/{digest(b'x')}", manifest, kind)
    t.send("put nonsense", "PUT", "/v2/a/b/manifests/bad", b"xx", kind)
    t.send("put without its parts", "PUT", "/v2/z/manifests/v1", manifest, kind)
    t.send("get", "GET", "/v2/a/b/manifests/v1", headers=accept, look=("content-type", "docker-content-digest"))
    t.send("head", "HEAD", "/v2/a/b/manifests/v1", headers=accept, look=("content-length", "docker-content-digest"))
    t.send("get by digest", "GET", f"/v2/a/b/manifests/{dm}", headers=accept)
    for tag in ("v2", "v3"):
        t.send("another tag", "PUT", f"/v2/a/b/manifests/{tag}", manifest, kind)
    _, body = t.send("tags", "GET", "/v2/a/b/tags/list")
    t.said.append(("the tags", sorted(json.loads(body)["tags"])))
    _, body = t.send("tags, a page", "GET", "/v2/a/b/tags/list?n=2")
    t.said.append(("tags, a page", len(json.loads(body)["tags"])))
    _, body = t.send("catalogue", "GET", "/v2/_catalog")
    t.said.append(("the repositories", json.loads(body)["repositories"]))
    t.send("catalogue, a page", "GET", "/v2/_catalog?n=1", look=("link",))
    t.send("a page of no number", "GET", "/v2/_catalog?n=x")
    t.send("delete a manifest", "DELETE", f"/v2/a/b/manifests/{dm}")
    t.send("a deleted manifest", "GET", "/v2/a/b/manifests/v1", headers=accept)
    t.send("delete a blob", "DELETE", f"/v2/a/b/blobs/{d}")
    t.send("a deleted blob", "HEAD", f"/v2/a/b/blobs/{d}")
    t.send("where it was mounted it stays", "HEAD", f"/v2/c/blobs/{d}")
    return t.said


theirs, ours = scenario(int(sys.argv[1])), scenario(int(sys.argv[2]))
wrong = [(a, b) for a, b in zip(theirs, ours, strict=True) if a != b and a[0] not in EXPECTED]
for a, b in wrong:
    print("differs:", a, "ours:", b[1])
print(f"{len(ours)} answers, {len(wrong)} differ")
sys.exit(bool(wrong))
