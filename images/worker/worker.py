"""votes flow vote → redis → worker → db → result: this is the middle.

Waits for both ends for as long as it takes, and again whenever one of them goes away.
"""

import json
import os
import socket
import time

import psycopg2

REDIS = (os.environ.get("REDIS_HOST", "redis"), 6379)
DATABASE = {
    "host": os.environ.get("POSTGRES_HOST", "db"),
    "user": os.environ.get("POSTGRES_USER", "postgres"),
    "password": os.environ.get("POSTGRES_PASSWORD", "postgres"),
    "dbname": os.environ.get("POSTGRES_DB", "postgres"),
    "connect_timeout": 5,
}


class Redis:
    """BLPOP, and nothing else of it."""

    def __init__(self):
        self.socket = socket.create_connection(REDIS, timeout=30)
        self.stream = self.socket.makefile("rb")

    def pop(self):
        """The next vote, or None after five seconds without one."""
        self.socket.sendall(b"*3\r\n$5\r\nBLPOP\r\n$5\r\nvotes\r\n$1\r\n5\r\n")
        head = self.stream.readline()
        if not head:
            raise OSError("redis has closed the connection")
        if head in (b"*-1\r\n", b"_\r\n"):
            return None
        if head != b"*2\r\n":
            raise OSError(f"redis said {head!r}")
        self.word()
        return json.loads(self.word())

    def word(self):
        length = int(self.stream.readline()[1:])
        return self.stream.read(length + 2)[:-2]


def connect(what, make):
    while True:
        try:
            made = make()
            print(f"Connected to {what}")
            return made
        except (OSError, psycopg2.Error) as error:
            print(f"Waiting for {what}: {str(error).strip()}")
            time.sleep(1)


def database():
    connection = psycopg2.connect(**DATABASE)
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute("CREATE TABLE IF NOT EXISTS votes (id VARCHAR(255) NOT NULL UNIQUE, vote VARCHAR(255) NOT NULL)")
    return connection


def keep(connection, vote):
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO votes (id, vote) VALUES (%s, %s) ON CONFLICT (id) DO UPDATE SET vote = EXCLUDED.vote",
            (vote["voter_id"], vote["vote"]),
        )


def main():
    redis, db = connect("redis", Redis), connect("db", database)
    while True:
        try:
            vote = redis.pop()
        except (OSError, ValueError) as error:
            print(f"redis: {error}")
            redis = connect("redis", Redis)
            continue
        while vote:
            try:
                keep(db, vote)
                print(f"Processing vote for '{vote['vote']}' by '{vote['voter_id']}'")
                break
            except psycopg2.Error as error:
                print(f"db: {str(error).strip()}")
                db = connect("db", database)


if __name__ == "__main__":
    main()
