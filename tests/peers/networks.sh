#!/bin/sh
# Networks by the same unmodified `docker` client against a real Docker Engine and against minidock: the same statuses and the same first words.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
for peer in dockerd docker curl python3; do
	command -v $peer >/dev/null || { echo "no $peer here"; exit 77; }
done
image=${IMAGE:-$PWD/target/images/alpine.tar}
work=$(mktemp -d /tmp/minidock-peers.XXXXXX)
daemon='' engine=''
tidy() {
	for n in m d; do docker -H "unix://$work/$n.sock" ps -aq 2>/dev/null | xargs -r docker -H "unix://$work/$n.sock" rm -f >/dev/null 2>&1 || true; done
	[ -z "$daemon" ] || kill "$daemon" 2>/dev/null || true
	[ -z "$engine" ] || kill "$engine" 2>/dev/null || true
	wait 2>/dev/null || true
	rm -rf "$work"
}
trap tidy EXIT
cd "$work"
unshare -n sh -c "ip link set lo up; exec $MINIDOCK daemon --data-root $work/m --exec-root $work/mr -H unix://$work/m.sock" >m.log 2>&1 &
daemon=$!
unshare -n -m sh -c "ip link set lo up; mount -t tmpfs tmpfs /run; exec dockerd --data-root $work/d --exec-root $work/dr --pidfile $work/d.pid -H unix://$work/d.sock" >d.log 2>&1 &
engine=$!
for n in m d; do
	for _ in $(seq 100); do docker -H "unix://$work/$n.sock" version >/dev/null 2>&1 && break; sleep 0.1; done
	docker -H "unix://$work/$n.sock" import "$image" alpine:latest >/dev/null
done

# --- every line by both; what differs by intent is not in the list (newer words of newer engines, drivers left out)
python3 "$here/networks.py" "unix://$work/m.sock" "unix://$work/d.sock"

# --- and the picture of the labs, by the docker client and minidock alone
export DOCKER_HOST="unix://$work/m.sock"
page() { echo "mkdir /www; echo $1 > /www/index.html; exec httpd -f -p 80 -h /www"; }
inside() { nsenter --net -t "$daemon" "$@"; }
reach() { docker exec "$1" timeout 3 wget -q -O - "http://$2/" 2>/dev/null; }
docker network create dog-net >/dev/null
docker network create cat-net >/dev/null
for pet in dog cat; do
	docker run -d --name $pet-web --network $pet-net -p "80$([ $pet = dog ] && echo 81 || echo 82):80" alpine sh -c "$(page $pet-web)" >/dev/null
	docker run -d --name $pet-db --network $pet-net alpine sh -c "$(page $pet-db)" >/dev/null
done
docker run -d --name admin --network dog-net alpine sleep 1000 >/dev/null
docker network connect cat-net admin
for _ in $(seq 50); do reach admin cat-db >/dev/null && break; sleep 0.1; done
for pair in "admin dog-web yes" "admin cat-db yes" "dog-web dog-db yes" "cat-db cat-web yes" "dog-web cat-db no" "cat-web dog-web no"; do
	# shellcheck disable=SC2086 # three words
	set -- $pair
	got=no
	[ "$(reach "$1" "$2")" = "$2" ] && got=yes
	[ $got = "$3" ] || { echo "FAILED: $1 reaches $2: $got"; exit 1; }
	echo "ok: $1 reaches $2: $got"
done
[ "$(inside curl -s 127.0.0.1:8082)" = cat-web ] || { echo "FAILED: the published port"; exit 1; }
docker ps --format '{{.Names}} {{.Ports}}' | grep -q '^cat-web 0.0.0.0:8082->80/tcp'
docker port cat-web 80 | grep -q '^0.0.0.0:8082$'
docker network disconnect cat-net admin
[ -z "$(reach admin cat-db)" ] || { echo "FAILED: admin has left"; exit 1; }
docker rm -f dog-web dog-db cat-web cat-db admin >/dev/null
docker network prune -f | grep -q cat-net
echo "ok: ports, connect, disconnect and prune by the docker client"
