"""Types each line at two engines with the same docker client and compares status and first words: networks.py OURS THEIRS."""
import os, re, shlex, subprocess, sys

LINES = """
network create --subnet 10.1.0.0/24 n1
network create --subnet 10.1.0.128/25 x
network create --subnet 10.1.0.0/24 x
network create n1
network create bridge
network create --subnet 10.2.0.0/24 --gateway 10.2.0.0 gw0
network create --subnet 10.2.1.0/24 --gateway 10.2.1.255 gw1
network create --subnet 10.8.1.0/24 --aux-address a=10.8.1.1 --gateway 10.8.1.1 y8
network create -d nosuch x
network create -d host x
network create -d null x
network create -d overlay x
network create -o com.docker.network.driver.mtu=foo y3
network create -o foo=bar y4
network create --ingress z4
network create --attachable z6
network rm nosuch
network rm bridge
network rm none
network connect nosuch c1
network connect n1 nosuch
network disconnect n1 nosuch
run -d --name c1 --network n1 --ip 10.1.0.5 alpine sleep 1000
inspect -f {{.NetworkSettings.Networks.n1.IPAddress}}/{{.NetworkSettings.Networks.n1.IPPrefixLen}} c1
inspect -f {{.NetworkSettings.Networks.n1.MacAddress}}_{{.NetworkSettings.Networks.n1.Gateway}} c1
exec c1 sh -c "ip -4 -o addr show eth0 | cut -d: -f2"
exec c1 ip route
exec c1 grep -c 127.0.0.11 /etc/resolv.conf
network connect n1 c1
network connect host c1
network connect none c1
network connect bridge c1
exec c1 ls /sys/class/net
network disconnect bridge c1
network disconnect bridge c1
network disconnect host c1
network rm n1
run -d --name b12 --network host --hostname x alpine sleep 10
run -d --name b15 --network container:c1 -p 80:80 alpine sleep 10
run -d --name b16 --network container:c1 --expose 80 alpine sleep 10
run -d --name b17 --network container:c1 --dns 1.1.1.1 alpine sleep 10
run -d --name b18 --network container:c1 --add-host a:1.1.1.1 alpine sleep 10
run -d --name b19 --network container:c1 --hostname x alpine sleep 10
run -d --name b26 -p 8001:80 alpine sleep 1000
ps -f name=b26 --format {{.Ports}}
port b26 80
port b26 80/udp
port b26 foo
port nosuch
network inspect -f {{.Driver}}_{{.Scope}}_{{.Internal}}_{{json\\ .IPAM.Config}} n1
network inspect nosuch
network ls -f driver=bridge -f name=n1 --format {{.Name}}_{{.Driver}}_{{.Scope}}
network ls --filter type=foo
network ls --filter scope=foo
rm -f c1 b26 b12
network rm n1 y4 z6
"""


def go(host, words):
    ended = subprocess.run(["docker", "-H", host] + words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=90)
    said = (ended.stderr if ended.returncode else ended.stdout).strip().split("\n")
    said = said if not ended.returncode else said[:1]
    text = " | ".join(re.sub(r"\b[0-9a-f]{64}\b|\b[0-9a-f]{12}\b", "ID", line).strip() for line in said)
    # newer engines publish on [::] too, and 20.10 shows it as :::
    text = re.sub(r", (:::|\[::\]:)[0-9]+->[0-9]+/[a-z]+|( \|)? ?(:::|\[::\]:)[0-9]+$", "", text)
    return ended.returncode, re.sub(r"^(docker: )?(Error response from daemon: )?", "", text).rstrip(".")


ours, theirs, different = sys.argv[1], sys.argv[2], 0
lines = [line for line in LINES.splitlines() if line.strip()]
for line in lines:
    mine, peer = go(ours, shlex.split(line)), go(theirs, shlex.split(line))
    if mine != peer:
        different += 1
        print(f"differs: {line}\n  docker   {peer[0]} {peer[1]}\n  minidock {mine[0]} {mine[1]}")
print(f"{len(lines)} lines, {different} differences")
sys.exit(bool(different))
