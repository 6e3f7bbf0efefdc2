"""A web server as a service should have one: each answer says who gives it; told to end (SIGTERM), it takes no new connection from that
instant on, and finishes those it has, also those that wait to be accepted."""
import os, signal, socket, threading

listener = socket.create_server(("0.0.0.0", 80), backlog=128)
body = (socket.gethostname() + " " + os.environ.get("V", "1") + "\n").encode()
answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body
lock, busy, ending = threading.RLock(), 0, False


def serve(client):
    global busy
    try:
        asked = b""
        while b"\r\n\r\n" not in asked:
            more = client.recv(4096)
            if not more:
                return
            asked += more
        client.sendall(answer)
    except OSError:
        pass
    finally:
        client.close()
        with lock:
            busy -= 1
        if ending and busy == 0:
            os._exit(0)


def begin(client):
    global busy
    with lock:
        busy += 1
    threading.Thread(target=serve, args=(client,)).start()


def end(*_):
    global ending
    # runs between two steps of the main thread, which may hold the lock: hence one that may be taken twice
    listener.setblocking(False)
    try:
        while True:
            begin(listener.accept()[0])
    except OSError:
        listener.close()
    ending = True
    if busy == 0:
        os._exit(0)


signal.signal(signal.SIGTERM, end)
while not ending:
    try:
        begin(listener.accept()[0])
    except OSError:
        break
threading.Event().wait(5)
