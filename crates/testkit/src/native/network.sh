#!/bin/sh
# The network of one test: its own network, process and mount namespaces (unshare has made them), with a bridge in it.
# Its end, when standard input closes, is the end of all that runs in it: this is the first process of the namespace.
set -eu
bridge=$1
address=$2

ip link set lo up
# Without its own queries for who listens to what, a bridge that filters multicast loses mDNS.
ip link add "$bridge" type bridge forward_delay 0 mcast_snooping 0
ip address add "$address" dev "$bridge"
ip link set "$bridge" up
echo ready
while read -r _; do :; done
