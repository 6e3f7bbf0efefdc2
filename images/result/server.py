"""The result page: asks the database each time it is asked; the page asks once a second.

GET / is the page, GET /counts the numbers: {"a": 3, "b": 1}.
"""

import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psycopg2

OPTION_A = os.environ.get("OPTION_A", "Cats")
OPTION_B = os.environ.get("OPTION_B", "Dogs")
DATABASE = {
    "host": os.environ.get("POSTGRES_HOST", "db"),
    "user": os.environ.get("POSTGRES_USER", "postgres"),
    "password": os.environ.get("POSTGRES_PASSWORD", "postgres"),
    "dbname": os.environ.get("POSTGRES_DB", "postgres"),
    "connect_timeout": 3,
}

PAGE = """<!DOCTYPE html>
<html><head><meta charset="utf-8"><title>%(a)s vs %(b)s -- Result</title>
<style>
body { font-family: sans-serif; text-align: center; margin: 0 }
.side { float: left; width: 50%%; padding-top: 35vh; height: 65vh; color: white }
#left { background: #2196f3 } #right { background: #00cbca } .share { font-size: 4em }
#total { position: fixed; bottom: 1em; width: 100%%; color: white }
</style></head>
<body><div id="left" class="side">%(a)s<div class="share" id="a">50.0%%</div></div>
<div id="right" class="side">%(b)s<div class="share" id="b">50.0%%</div></div>
<div id="total">No votes yet</div>
<script>
async function show() {
  try {
    const votes = await (await fetch("counts")).json();
    const total = votes.a + votes.b;
    for (const side of ["a", "b"])
      document.getElementById(side).textContent = (total ? 100 * votes[side] / total : 50).toFixed(1) + "%%";
    document.getElementById("total").textContent = total ? total + (total == 1 ? " vote" : " votes") : "No votes yet";
  } catch (error) { document.getElementById("total").textContent = "the database does not answer"; }
}
show(); setInterval(show, 1000);
</script></body></html>
""" % {"a": OPTION_A, "b": OPTION_B}

lock = threading.Lock()
connection = None


def counts():
    """How many votes each option has; a new connection after a failure."""
    global connection
    with lock:
        try:
            if connection is None:
                connection = psycopg2.connect(**DATABASE)
                connection.autocommit = True
                print("Connected to db")
            with connection.cursor() as cursor:
                cursor.execute("SELECT vote, COUNT(id) FROM votes GROUP BY vote")
                found = dict(cursor.fetchall())
        except psycopg2.errors.UndefinedTable:
            found = {}  # nobody has voted yet
        except psycopg2.Error:
            connection = None
            raise
    return {"a": found.get("a", 0), "b": found.get("b", 0)}


class Page(BaseHTTPRequestHandler):
    def do_GET(self):
        status, kind, body = 200, "text/html; charset=utf-8", PAGE
        if self.path.split("?")[0] == "/counts":
            kind = "application/json"
            try:
                body = json.dumps(counts())
            except psycopg2.Error as error:
                status, body = 503, json.dumps({"error": str(error).strip()})
        body = body.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass  # once a second from every open page


if __name__ == "__main__":
    print("App running on port 80")
    ThreadingHTTPServer(("", 80), Page).serve_forever()
