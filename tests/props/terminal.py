#!/usr/bin/env python3
"""A terminal for a test: runs a command in a pseudo-terminal of its own, types at it, and tells what happened.

Standard input is JSON: {"argv": [...], "steps": [["expect", "# "], ["type", "exit\r"], ["size", 44, 120], ["signal", 15]]}.
Standard output is JSON: {"status": 5, "out": "...", "missed": null, "cooked": true}; status is negative for a signal.
Every expectation has a deadline; nothing sleeps for a time. The command runs below a shell that says afterwards whether
the terminal was given back, for a terminal that nobody holds open any more forgets its modes.
"""
import fcntl, json, os, pty, select, signal, struct, sys, termios, time

LIMIT = 20.0

wish = json.load(sys.stdin)
pid, terminal = pty.fork()
if pid == 0:
    # the shell waits for the command, must not be replaced by it, and outlives a Ctrl-C that is meant for it
    job = 'trap : INT; "$@"; s=$?; stty -a | grep -q " icanon" && stty -a | grep -q " echo " && echo COOKED; exit $s'
    os.execvp("/bin/sh", ["/bin/sh", "-c", job, "sh"] + wish["argv"])
fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 101, 0, 0))

out, mark, missed, ended = b"", 0, None, False


def read(deadline, text=None):
    """Reads until `text` has come behind the mark, or the command has closed its side."""
    global out, ended
    while True:
        if text is not None and text in out[mark:]:
            return True
        left = deadline - time.monotonic()
        if left <= 0 or ended:
            return False
        if select.select([terminal], [], [], left)[0]:
            try:
                piece = os.read(terminal, 65536)
            except OSError:
                piece = b""
            ended = not piece
            out += piece


def command():
    """The process that the shell runs: its only child."""
    with open(f"/proc/{pid}/task/{pid}/children") as children:
        return int(children.read().split()[0])


for step in wish["steps"]:
    if step[0] == "expect":
        wanted = step[1].encode()
        if not read(time.monotonic() + LIMIT, wanted):
            missed = step[1]
            break
        mark += out[mark:].index(wanted) + len(wanted)
    elif step[0] == "type":
        os.write(terminal, step[1].encode())
    elif step[0] == "size":
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", step[1], step[2], 0, 0))
    elif step[0] == "signal":
        os.kill(command(), step[1])

if missed is None:
    read(time.monotonic() + LIMIT)
if not ended:
    os.killpg(pid, signal.SIGKILL)
    try:
        os.kill(command(), signal.SIGKILL)
    except (OSError, IndexError):
        pass
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
text = out.decode(errors="replace")
json.dump({"status": status if ended else None, "out": text, "missed": missed, "cooked": "COOKED" in text}, sys.stdout)
