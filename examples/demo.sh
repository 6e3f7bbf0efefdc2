#!/bin/sh
# The last part of `make demo`: three simulated nodes, a service of two replicas, and a request answered by each of them.
# Everything is taken away at the end; KEEP=1 leaves the cluster up to play with.
set -eu
minidock=${MINIDOCK:-minidock}

say() { # shows a command, then does it
    echo "\$ minidock $*"
    "$minidock" "$@"
}
fetch() { # an HTTP request by whatever this machine has
    if command -v curl >/dev/null; then curl -s -m 3 "$1"; else busybox wget -q -T 3 -O - "$1"; fi
}
[ -n "${KEEP:-}" ] || trap '"$minidock" cluster down' EXIT

say cluster up --nodes 3
say cluster ls
page='mkdir -p /www && hostname >/www/index.html && exec httpd -f -p 80 -h /www'
say --node node1 service create --name web --replicas 2 --publish 8080:80 --no-resolve-image alpine sh -c "$page"
say --node node1 service ps web

# the mesh answers on every node, and gives the requests to both replicas in turn
answers=''
for attempt in $(seq 50); do
    for address in $("$minidock" cluster ls --format '{{.Address}}'); do
        answer=$(fetch "http://$address:8080/") || continue
        case " $answers " in
        *" $answer "*) ;;
        *)
            echo "\$ curl http://$address:8080/"
            echo "$answer"
            answers="$answers $answer"
            ;;
        esac
    done
    [ "$(echo "$answers" | wc -w)" -lt 2 ] || break
done
[ "$(echo "$answers" | wc -w)" -eq 2 ] || { echo "only these answered:$answers" >&2; exit 1; }
echo "Both replicas answered."
