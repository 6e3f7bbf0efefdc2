#!/bin/sh
# The OCI's own conformance suite for registries against ours. It is a Go program without a package of its own: who has it built (from the
# folder `conformance` of the distribution-spec) puts it on the PATH as `oci-conformance`, or names it: OCI_CONFORMANCE=/path.
set -eu
suite=${OCI_CONFORMANCE:-$(command -v oci-conformance || true)}
[ -x "${suite:-/nonexistent}" ] || { echo "no oci-conformance here"; exit 77; }
suite=$(realpath "$suite")
[ -n "${INSIDE:-}" ] || exec env INSIDE=1 OCI_CONFORMANCE="$suite" unshare -n sh -c 'ip link set lo up && exec sh "$0"' "$0"
work=$(mktemp -d /tmp/minidock-peers.XXXXXX)
ours=''
tidy() {
	[ -z "$ours" ] || kill "$ours" 2>/dev/null || true
	wait 2>/dev/null || true
	rm -rf "$work"
}
trap tidy EXIT
$MINIDOCK registry serve --quiet --root "$work/ours" --listen 127.0.0.1:5000 >"$work/ours.log" 2>&1 &
ours=$!
for _ in $(seq 100); do python3 -c "import socket; socket.create_connection(('127.0.0.1', 5000))" 2>/dev/null && break; sleep 0.1; done
cd "$work"
status=0
OCI_REGISTRY=127.0.0.1:5000 OCI_TLS=disabled OCI_RESULTS_DIR="$work/results" "$suite" >told 2>&1 || status=$?
grep -E '^ *(OCI Conformance Test.*: FAIL|- )|^  (Pass|FAIL|Skip|Error|Total)\.' told || true
[ "$status" = 0 ]
