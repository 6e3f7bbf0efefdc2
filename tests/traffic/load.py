"""load.py HOST:PORT GO: asks again and again, in two threads, as long as the file GO is there, but once at least; then prints who answered how often, what went
wrong, and the longest wait, as JSON."""
import collections, http.client, json, os, sys, threading, time

host, port = sys.argv[1].split(":")
good, bad, worst, lock = collections.Counter(), [], [0.0], threading.Lock()


def ask():
    while True:
        began = time.monotonic()
        try:
            line = http.client.HTTPConnection(host, int(port), timeout=5)
            line.request("GET", "/")
            name = line.getresponse().read().decode().strip()
            line.close()
            with lock:
                good[name] += 1
        except Exception as failed:
            with lock:
                bad.append(f"{time.time():.3f} {failed!r} after {time.monotonic() - began:.3f} s")
        with lock:
            worst[0] = max(worst[0], time.monotonic() - began)
        if not os.path.exists(sys.argv[2]):
            return
        time.sleep(0.03)


threads = [threading.Thread(target=ask) for _ in range(2)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(json.dumps({"good": good, "bad": bad, "worst": worst[0]}))
