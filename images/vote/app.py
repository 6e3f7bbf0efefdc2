"""The voting page: shows two options, remembers the voter by a cookie, pushes each vote into redis.

OPTION_A, OPTION_B name the options; the container's ID stands at the bottom, so that one sees which replica answered.
"""

import html
import json
import os
import secrets
import socket
from http.cookies import SimpleCookie
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

OPTION_A = os.environ.get("OPTION_A", "Cats")
OPTION_B = os.environ.get("OPTION_B", "Dogs")
REDIS = (os.environ.get("REDIS_HOST", "redis"), 6379)

PAGE = """<!DOCTYPE html>
<html><head><meta charset="utf-8"><title>{a} vs {b}!</title>
<style>
body {{ font-family: sans-serif; text-align: center; margin-top: 10vh }}
button {{ font-size: 2em; width: 40%; padding: 1em; margin: .5em; border: 0; border-radius: 8px; color: white }}
#a {{ background: #1aaaf8 }} #b {{ background: #00cbca }} .chosen {{ outline: 6px solid #444 }}
#hostname, #note {{ color: #777; margin-top: 3em }}
</style></head>
<body><h3>{a} vs {b}!</h3>
<form method="POST">
<button id="a" name="vote" value="a" class="{chosen_a}">{a}</button>
<button id="b" name="vote" value="b" class="{chosen_b}">{b}</button>
</form>
<div id="note">{note}</div>
<div id="hostname">Processed by container ID {host}</div>
</body></html>
"""


def push(vote):
    """RPUSH votes VOTE, in redis's own protocol (RESP)."""
    words = [b"RPUSH", b"votes", json.dumps(vote).encode()]
    request = b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(w), w) for w in words)
    with socket.create_connection(REDIS, timeout=5) as redis:
        redis.sendall(request)
        answer = redis.recv(64)
    if not answer.startswith(b":"):
        raise OSError(f"redis said {answer!r}")


class Page(BaseHTTPRequestHandler):
    def answer(self, vote="", note="(Tip: you can change your vote)"):
        cookie = SimpleCookie(self.headers.get("Cookie", ""))
        voter = cookie["voter_id"].value if "voter_id" in cookie else secrets.token_hex(8)
        status = 200
        if vote in ("a", "b"):
            try:
                push({"voter_id": voter, "vote": vote})
                print(f"Received vote for {vote}")
            except OSError as error:
                status, vote, note = 500, "", f"the vote could not be kept: {error}"
        body = PAGE.format(
            a=html.escape(OPTION_A), b=html.escape(OPTION_B), host=socket.gethostname(), note=html.escape(note),
            chosen_a="chosen" if vote == "a" else "", chosen_b="chosen" if vote == "b" else "",
        ).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Set-Cookie", f"voter_id={voter}")
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.answer()

    def do_POST(self):
        length = int(self.headers.get("Content-Length", 0))
        form = parse_qs(self.rfile.read(min(length, 4096)).decode(errors="replace"))
        self.answer(vote=form.get("vote", [""])[0])


if __name__ == "__main__":
    print("Listening on port 80")
    ThreadingHTTPServer(("", 80), Page).serve_forever()
