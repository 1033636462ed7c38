#!/bin/sh
# One machine: mounts the root of a card and boots it with systemd-nspawn. Runs in the namespaces of the test's network, with a
# mount namespace of its own, and stays until the machine has ended and the card is unmounted.
#
# Set from outside: NAME, GROUP (cgroup), CARD (its root), TREE (where it is mounted), FIRMWARE (folder), NETWORKD (folder
# that is laid over /run/systemd/network), CLOCK (`set` or `unknown`), POWER_ON (`now` gives it an uptime of its own).
# Arguments: further ones for systemd-nspawn.
set -eu

# Without groups of their own, machines take each other's for theirs and remove them.
for hierarchy in /sys/fs/cgroup/systemd /sys/fs/cgroup/unified /sys/fs/cgroup; do
    [ -e "$hierarchy/cgroup.procs" ] || continue
    mkdir -p "$hierarchy/$GROUP"
    echo $$ >"$hierarchy/$GROUP/cgroup.procs"
done

mount -o "loop,noatime,errors=remount-ro" -t ext4 "$CARD" "$TREE"

if [ "$CLOCK" = set ]; then
    # No machine may set the host's clock, so none asks a time server: as if one had answered.
    set -- --bind-ro=/dev/null:/run/systemd/timesync/synchronized "$@"
fi
start='' uptime=''
if [ "$POWER_ON" = now ]; then
    # `since power-on` is the host's otherwise.
    read -r uptime _ </proc/uptime
    start="unshare --time --boottime -${uptime%%.*}"
fi

status=0
# What asks for the host's kernel is masked: NFS, which it may not have, and remounting the root.
# shellcheck disable=SC2086 # words
SYSTEMD_NSPAWN_UNIFIED_HIERARCHY=1 SYSTEMD_NSPAWN_LOCK=0 $start systemd-nspawn --quiet --register=no --keep-unit \
    --machine="$NAME" --directory="$TREE" --boot --link-journal=no --resolv-conf=off --timezone=off --console=read-only \
    --bind="$FIRMWARE:/boot/firmware" --bind-ro="$NETWORKD:/run/systemd/network" "$@" \
    systemd.mask=proc-fs-nfsd.mount systemd.mask=run-rpc_pipefs.mount systemd.mask=systemd-remount-fs.service || status=$?
umount "$TREE"
exit $status
