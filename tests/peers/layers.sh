#!/bin/sh
# Layers out: a container changes everything that is hard to change, is committed, and the image is read by tools that others wrote:
# umoci (from `save`, from our store, through our registry by skopeo), podman, a real Docker Engine. The trees must be the same as
# when the same commands change the same tree without us. And `export` must be that tree, too.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
for peer in skopeo umoci podman dockerd docker python3 unshare; do
	command -v $peer >/dev/null || { echo "no $peer here"; exit 77; }
done
# a network of our own: the registry and all its clients on one loopback
[ -n "${INSIDE:-}" ] || exec env INSIDE=1 unshare -n -m sh -c 'ip link set lo up && exec sh "$0"' "$0"
work=$(mktemp -d /tmp/minidock-peers.XXXXXX)
daemon='' engine='' registry=''
tidy() {
	for process in $daemon $engine $registry; do kill "$process" 2>/dev/null || true; done
	wait 2>/dev/null || true
	awk -v work="$work/" 'index($5, work) == 1 { print $5 }' /proc/self/mountinfo | sort -r | xargs -r umount 2>/dev/null || true
	rm -rf "$work"
}
trap tidy EXIT
cd "$work"
export MINIDOCK_HOST="unix://$work/m.sock" MINIDOCK_CONFIG="$work/config"
$MINIDOCK daemon --data-root "$work/m" --exec-root "$work/mr" -H "$MINIDOCK_HOST" >m.log 2>&1 &
daemon=$!
dockerd --data-root "$work/d" --exec-root "$work/dr" --pidfile "$work/d.pid" -H "unix://$work/d.sock" \
	--bridge none --iptables=false --storage-driver overlay2 >d.log 2>&1 &
engine=$!
$MINIDOCK registry serve --quiet --root "$work/r" --listen 127.0.0.1:5000 >r.log 2>&1 &
registry=$!
real="docker -H unix://$work/d.sock"
for _ in $(seq 100); do [ -S m.sock ] && $real version >/dev/null 2>&1 && break; sleep 0.1; done

# --- below: two layers
umoci init --layout made
umoci new --image made:base
layer() {
	rm -rf b && umoci unpack --image made:base b >/dev/null 2>&1
	(cd b/rootfs && eval "$1")
	umoci repack --image made:base b >/dev/null 2>&1
}
layer 'mkdir -p bin dev etc proc sys tmp usr/lib/x gone/deep whole/a turned linked; cp /bin/busybox bin/; ln bin/busybox bin/sh
	for n in $(seq 40); do echo $n >gone/deep/$n; done; echo keep >whole/a/old; echo f >file-to-folder; mkdir folder-to-file; echo x >folder-to-file/x
	echo one >linked/one; ln linked/one linked/two; echo caps >bin/ping; chmod 1777 tmp; ln -s usr/lib lib; echo lower >renamed'
layer 'python3 -c "
import os
os.setxattr(\"bin/ping\", \"security.capability\", bytes.fromhex(\"0100000200200000000000000000000000000000\"))
os.setxattr(\"bin/ping\", \"user.note\", b\"kept\")"; echo second >usr/lib/x/f'
umoci config --image made:base --config.cmd /bin/sh --config.env PATH=/bin
tar -C made -cf base.tar . && $MINIDOCK load -q -i base.tar >/dev/null
$MINIDOCK tag base hard:base

# --- the same changes in a container and in a chroot; what they touched is dated to one moment
cat >changes <<'END'
set -e
b=/bin/busybox
$b rm -r /gone/deep; $b mkdir /gone/deep; echo new >/gone/deep/new
$b rm -r /whole; $b mkdir -p /whole/a; echo fresh >/whole/a/fresh
$b rm /file-to-folder; $b mkdir /file-to-folder; echo in >/file-to-folder/in
$b rm -r /folder-to-file; echo now >/folder-to-file
echo more >>/linked/one; $b ln /linked/one /linked/three
$b ln /bin/busybox /bin/again
$b touch /bin/ping
$b mv /renamed /moved
$b mkfifo /pipe; $b mknod /tmp/null c 1 3; $b ln -s nowhere /dangling
$b mkdir -p "/tmp/$($b printf 'long-%090d' 1)/$($b printf 'more-%090d' 2)"; echo deep >"/tmp/$($b printf 'long-%090d' 1)/$($b printf 'more-%090d' 2)/$($b printf '%0200d' 3)"
$b dd if=/dev/zero of=/holes bs=1 count=1 seek=5000000 2>/dev/null
echo owned >/owned; $b chown 70000:2147483653 /owned; $b chmod 4711 /owned
echo 'a name
with a newline' >"/tmp/odd
name"; $b touch '/tmp/.wh.not' 2>/dev/null || true; $b rm -f '/tmp/.wh.not'
END
date='/bin/busybox find / -xdev -mmin -30 -exec /bin/busybox touch -h -d @1000000000 {} ;'
$MINIDOCK run -d --name box hard:base /bin/busybox sleep 1000 >/dev/null
$MINIDOCK exec -i box /bin/sh <changes
pid=$($MINIDOCK inspect -f '{{.State.Pid}}' box)
attributes() {
	python3 -c "
import os, sys
root = sys.argv[1]
os.setxattr(root + '/owned', 'user.fresh', b'value\x00with zero')
os.setxattr(root + '/moved', 'security.capability', bytes.fromhex('0100000200040000000000000000000000000000'))
os.setxattr(root + '/whole', 'user.folder', b'x')" "$1"
}
attributes "/proc/$pid/root"
$MINIDOCK exec box $date 2>/dev/null || true # /sys is another's
rm -rf b && umoci unpack --image made:base b >/dev/null 2>&1
# overlayfs has its own mind about hard links into lower layers: the folder is one of its mounts, too
mkdir -p upper work merged truth && mount -t overlay overlay -o lowerdir=b/rootfs,upperdir=upper,workdir=work merged
mknod -m 666 merged/dev/null c 1 3; mknod -m 666 merged/dev/zero c 1 5
chroot merged /bin/sh <changes
attributes merged
chroot merged $date
cp -a --preserve=all merged/. truth/ && umount merged
forget() { # what belongs to a running container, not to the image
	for name in dev proc sys etc; do rm -rf "${1:?}/$name"; done
}
forget truth

same() { # $1: what, $2: its tree
	forget "$2"
	python3 "$here/trees.py" "$2" truth || { echo "FAILED: $1 gives another tree"; exit 1; }
	echo "ok: $1"
}

$MINIDOCK commit -q box hard:changed >/dev/null 2>&1 || $MINIDOCK commit box hard:changed >/dev/null
$MINIDOCK save -o saved.tar hard:changed
id=$($MINIDOCK image inspect -f '{{.Id}}' hard:changed)
mkdir layout && tar -C layout -xf saved.tar
umoci unpack --image layout:changed u1 >/dev/null 2>&1 && same "umoci unpack of what save wrote" u1/rootfs
umoci unpack --image "$work/m:hard:changed" u2 >/dev/null 2>&1 && same "umoci unpack of our store" u2/rootfs
skopeo copy -q docker-archive:saved.tar:hard:changed oci:sk:changed
umoci unpack --image sk:changed u3 >/dev/null 2>&1 && same "skopeo from the docker-archive" u3/rootfs
$MINIDOCK tag hard:changed localhost:5000/hard:changed
$MINIDOCK push -q localhost:5000/hard:changed >/dev/null
skopeo copy -q --src-tls-verify=false docker://localhost:5000/hard:changed oci:sk2:changed
umoci unpack --image sk2:changed u4 >/dev/null 2>&1 && same "skopeo from our registry" u4/rootfs
store="--root $work/c --runroot $work/cr --storage-driver vfs"
podman $store pull -q --tls-verify=false localhost:5000/hard:changed >/dev/null
mounted=$(podman $store image mount localhost:5000/hard:changed)
mkdir p && cp -a --preserve=all "$mounted/." p/ && same "podman pull from our registry" p
[ "sha256:$(podman $store image inspect -f '{{.Id}}' localhost:5000/hard:changed)" = "$id" ] && echo "ok: podman has the same ID"
$real pull -q localhost:5000/hard:changed >/dev/null
[ "$($real image inspect -f '{{.Id}}' localhost:5000/hard:changed)" = "$id" ] && echo "ok: docker has the same ID"
upper=$($real image inspect -f '{{.GraphDriver.Data.UpperDir}}:{{.GraphDriver.Data.LowerDir}}' localhost:5000/hard:changed)
mkdir seen d1 && mount -t overlay overlay -o "lowerdir=$upper" seen && cp -a --preserve=all seen/. d1/ && umount seen && same "docker pull from our registry" d1
$real save -o theirs.tar localhost:5000/hard:changed
$MINIDOCK rmi -f hard:changed localhost:5000/hard:changed >/dev/null
$MINIDOCK load -q -i theirs.tar >/dev/null
[ "$($MINIDOCK image inspect -f '{{.Id}}' localhost:5000/hard:changed)" = "$id" ] && echo "ok: there and back again, the same ID"
upper=$($MINIDOCK image inspect -f '{{.GraphDriver.Data.UpperDir}}:{{.GraphDriver.Data.LowerDir}}' localhost:5000/hard:changed)
mkdir m1 && mount -t overlay overlay -o "lowerdir=$upper" seen && cp -a --preserve=all seen/. m1/ && umount seen && same "our own load of docker save" m1
mkdir e && $MINIDOCK export box | tar -C e --xattrs --xattrs-include='*' --numeric-owner -xpf - && same "export" e
# what docker pushes, we pull: a schema 2 manifest made by a real Docker
$real tag localhost:5000/hard:changed localhost:5000/by-docker:1
$real push -q localhost:5000/by-docker:1 >/dev/null
$MINIDOCK rmi -f localhost:5000/hard:changed >/dev/null
$MINIDOCK pull -q localhost:5000/by-docker:1 >/dev/null
[ "$($MINIDOCK image inspect -f '{{.Id}}' localhost:5000/by-docker:1)" = "$id" ] && echo "ok: what docker pushed to our registry is pulled with the same ID"
$MINIDOCK rm -f box >/dev/null
