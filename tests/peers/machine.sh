#!/bin/sh
# tests/peers/machine.sh: minidock on a machine as its users have one, and this one is not: a Debian of its own with the distribution's kernel (older
# than ours: overlays by mount(2), no copies of detached mounts) and cgroup v2 alone. Made with debootstrap, emulated by qemu without any
# network; needs root, some minutes and 2 GB. The facts are in machine.check, which is run inside as the only service.
#   MINIDOCK=target/release/minidock tests/peers/machine.sh [FOLDER]     FOLDER keeps what was built, for the next time
set -eu
top=$(cd "$(dirname "$0")/../.." && pwd)
minidock=${MINIDOCK:-$top/target/release/minidock}
work=${1:-$(mktemp -d /tmp/minidock-machine-XXXXXX)}
[ $# -gt 0 ] || trap 'rm -rf "$work"' EXIT
sh "$top/tests/setup" qemu-system-x86 seabios debootstrap cpio e2fsprogs busybox-static
ONLY_TAR=1 "$top/images/build" alpine >/dev/null
mkdir -p "$work"
root=$work/root
if [ ! -e "$work/kernel" ]; then
	mirror=$(sed -n 's/^URIs: *//p; s/^deb *\([a-z]*:[^ ]*\) .*/\1/p' /etc/apt/sources.list.d/*.sources /etc/apt/sources.list 2>/dev/null | head -n 1)
	debootstrap --variant=minbase --include=systemd-sysv,udev,kmod,iproute2,nftables,curl,linux-image-cloud-amd64 bookworm "$root" "$mirror" >"$work/debootstrap.log" 2>&1 \
		|| { tail -n 5 "$work/debootstrap.log" >&2; exit 1; }
	cp "$root"/boot/vmlinuz-* "$work/kernel"
fi
version=$(basename "$root"/lib/modules/*)
# a first root that loads what the disk needs, and goes over to it
first=$work/first
rm -rf "$first"
mkdir -p "$first/bin" "$first/dev" "$first/proc" "$first/new" "$first/modules"
cp /bin/busybox "$first/bin/"
for module in virtio_pci virtio_blk ext4; do chroot "$root" modprobe -S "$version" --show-depends "$module"; done |
	awk '$1 == "insmod" && !seen[$2]++ { print $2 }' >"$work/modules"
while read -r file; do cp "$root$file" "$first/modules/" && basename "$file"; done <"$work/modules" >"$first/order"
cat >"$first/init" <<'END'
#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc && /bin/busybox mount -t devtmpfs dev /dev
while read -r module; do /bin/busybox insmod "/modules/$module"; done </order
for try in 1 2 3 4 5 6 7 8 9; do [ -b /dev/vda ] && break; /bin/busybox sleep 0.2; done
/bin/busybox mount -t ext4 /dev/vda /new && exec /bin/busybox switch_root /new /lib/systemd/systemd
END
chmod +x "$first/init"
(cd "$first" && find . | cpio -o -H newc 2>/dev/null | gzip) >"$work/initrd"
cat >"$root/etc/systemd/system/check.service" <<'END'
[Service]
Type=oneshot
TimeoutSec=infinity
Environment=HOME=/root
ExecStart=/bin/sh -c 'sh /root/check >/dev/console 2>&1; systemctl poweroff -f -f'
[Install]
WantedBy=multi-user.target
END
mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
ln -sf ../check.service "$root/etc/systemd/system/multi-user.target.wants/check.service"
install "$minidock" "$root/usr/local/bin/minidock"
install -m 644 "$top/target/images/alpine.tar" "$root/srv/alpine.tar"
install "$top/tests/peers/machine.check" "$root/root/check"
rm -f "$work/disk"
truncate -s 2G "$work/disk"
mkfs.ext4 -q -F -d "$root" "$work/disk"
timeout "${SECONDS_TO_LIVE:-900}" qemu-system-x86_64 -accel tcg,thread=multi -cpu max -m 2048 -smp 2 -nographic -no-reboot -nic none \
	-kernel "$work/kernel" -initrd "$work/initrd" -append 'console=ttyS0 quiet loglevel=3 systemd.show_status=0' \
	-drive "file=$work/disk,if=virtio,format=raw" </dev/null >"$work/log" 2>&1 || true
tr -d '\r' <"$work/log" | sed -n '/kernel [0-9]/,/^machine: /p'
tr -d '\r' <"$work/log" | grep -q '^machine: [0-9]* facts hold, 0 do not$'
