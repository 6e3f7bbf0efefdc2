#!/bin/sh
# `docker cp` and `docker diff` by the same client against a real Docker Engine and against minidock: the same files, the same words.
set -eu
for peer in dockerd docker python3; do
	command -v $peer >/dev/null || { echo "no $peer here"; exit 77; }
done
image=${IMAGE:-$PWD/target/images/alpine.tar}
work=$(mktemp -d /tmp/minidock-peers.XXXXXX)
daemon='' engine=''
tidy() {
	[ -z "$daemon" ] || kill "$daemon" 2>/dev/null || true
	[ -z "$engine" ] || kill "$engine" 2>/dev/null || true
	wait 2>/dev/null || true
	rm -rf "$work"
}
trap tidy EXIT
cd "$work"
unshare -n $MINIDOCK daemon --data-root "$work/m" --exec-root "$work/mr" -H "unix://$work/m.sock" >m.log 2>&1 &
daemon=$!
unshare -n -m dockerd --data-root "$work/d" --exec-root "$work/dr" --pidfile "$work/d.pid" -H "unix://$work/d.sock" \
	--bridge none --iptables=false --storage-driver overlay2 >d.log 2>&1 &
engine=$!
for _ in $(seq 100); do [ -S m.sock ] && docker -H "unix://$work/d.sock" version >/dev/null 2>&1 && break; sleep 0.1; done

mkdir -p src/dir/sub && echo one >src/dir/one && echo two >src/dir/sub/two && ln -s one src/dir/link && echo file >src/file
chmod 4755 src/file
# one case a line; OUT is a fresh folder, C the container
cat >cases <<'END'
docker cp C:/etc/group OUT/
docker cp C:/etc/group OUT/renamed
docker cp C:/etc OUT/
docker cp C:/etc OUT/renamed
docker cp C:/etc/ OUT/
docker cp C:/etc/. OUT/
docker cp C:/etc/. OUT/renamed
docker cp C:etc/../etc/group OUT/
docker cp C:/nosuch OUT/
docker cp C:/etc/nosuch/deeper OUT/
docker cp C:/etc/group/ OUT/
docker cp C:/linuxrc OUT/
docker cp -L C:/linuxrc OUT/
docker cp C:/etc OUT/no/such
docker cp src/file C:/new
docker cp C:/new OUT/
docker cp src/file C:/
docker cp src/dir C:/
docker cp src/dir C:/renamed
docker cp src/dir/. C:/renamed
docker cp src/dir C:/nosuch/deeper
docker cp src/file C:/nosuch/deeper
docker cp src/file C:/etc/group/
docker cp src/dir C:/etc/group
docker cp src/file C:/etc
docker cp src/nosuch C:/etc
docker cp src/dir/link C:/link
docker cp src/file C:/link
docker cp -a src/file C:/owned
docker cp -L src/dir/link C:/followed
docker cp src/file C:/dir
docker cp src/dir C:/file
docker cp C:/renamed OUT/
docker cp C:/dir/sub/two -
docker diff C
END
# Docker puts empty files where it will mount these, in a layer below the container's; we make them at the start
stubs='(^|/)(hosts|hostname|mtab|resolv[.]conf) '
run() { # $1: the socket, $2: where results go
	docker -H "unix://$1" import -q "$image" cp:1 >/dev/null 2>&1 || docker -H "unix://$1" import "$image" cp:1 >/dev/null
	c=$(DOCKER_HOST="unix://$1" docker create --network none cp:1 /bin/true)
	n=0
	while read -r line; do
		n=$((n + 1)) out=$2/$n
		mkdir -p "$out"
		line=$(echo "$line" | sed "s|C:|$c:|; s| C\$| $c|; s|OUT|$out|")
		code=0
		DOCKER_HOST="unix://$1" $line >"$2/$n.out" 2>"$2/$n.err" </dev/null || code=$?
		{ echo "exit $code"; { grep -v '^time=' "$2/$n.err" | sed "s/$c/C/g; s|$out|OUT|g; s|$2|WORK|g; s|lstat .*/merged||"; } || true; } >"$2/$n.said"
		(cd "$out" && find . -printf '%P %y %#m %U:%G %s %l\n' | sed 's/ d \(.*\) [0-9]* $/ d \1/' | grep -Ev "$stubs" | sort) >"$2/$n.tree"
		case $line in *" -") tar --numeric-owner -tvf "$2/$n.out" | tr -s ' ' >"$2/$n.tree" ;; *diff*) sort "$2/$n.out" >"$2/$n.tree" ;; esac
	done <cases
	# what a container that ran has changed, and the same after commit and a second run
	export DOCKER_HOST="unix://$1"
	docker run --name changed --network none -v /vol cp:1 sh -c "$changes"
	docker diff changed | sort >"$2/changed"
	docker commit changed cp:2 >/dev/null
	docker run --name again --network none cp:2 sh -c 'rm -r /var/spool /made/b; echo >>/etc/group; ls /home /made /etc/passwd 2>&1 | sort'
	docker diff again | sort >"$2/again"
	docker export again | tar --numeric-owner -tvf - | awk '{$4=$5=""; print}' | grep -Ev 'etc/(hosts|hostname|mtab|resolv[.]conf)|[.]dockerenv|^l.*proc/mounts| (dev|proc|sys)/' | sort >"$2/exported"
	unset DOCKER_HOST
} >"$2/printed" 2>&1
changes='echo hi >/new; rm /etc/passwd; mkdir -p /made/b/c; chmod 700 /var/spool; rm -r /home; mkdir /home; touch /home/x; ln /new /new2
	ln -s x /link; touch -d 2001-01-01 /etc/group; chown 12:34 /etc/profile; mknod /made/null c 1 3; mkfifo /made/fifo; chmod 4755 /new
	rm -r /etc/profile.d; echo file >/etc/profile.d; rm /etc/shells; mkdir /etc/shells; mv /srv /moved; echo v >/vol/f'
mkdir ours theirs
run "$work/m.sock" "$work/ours"
run "$work/d.sock" "$work/theirs"
n=0 wrong=0
while read -r line; do
	n=$((n + 1))
	for what in said tree; do
		if ! diff -u "theirs/$n.$what" "ours/$n.$what" >difference; then
			wrong=$((wrong + 1))
			echo "differs: $line"
			sed 1,2d difference
		fi
	done
done <cases
for what in changed again exported printed; do
	diff -u theirs/$what ours/$what || wrong=$((wrong + 1))
done
echo "$n cases, $wrong differences"
[ $wrong = 0 ]
