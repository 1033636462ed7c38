# shellcheck shell=sh
# Which USB disks there are and what they carry: for `storage`, which sets LABEL. Read with `.`.
# At every boot k3s waits for this: the way to a disk that is there and in order starts as few programs as it can.
# Prefix of all paths: empty on a node, a folder in tests.
root=${LABIMG_ROOT-}
scan=$root/run/labimg/storage-scan

uptime_seconds() {
    read -r up _ < "$root/proc/uptime"
    up=${up%%.*}
}

# system_disks: the disks that the system itself runs from.
system_disks() {
    for target in / /boot/firmware; do
        source=$(findmnt -n -o SOURCE --mountpoint $target) || continue
        source=$(readlink -f "$source")
        sys=$(readlink -f "$root/sys/class/block/${source##*/}")
        if [ -e "$sys/partition" ]; then
            sys=${sys%/*}
        fi
        echo "${sys##*/}"
    done
}

# disk_of DEVICE: `disk` is the name of the disk that it is or is a part of.
disk_of() {
    disk=${1##*/}
    disk=${disk%"${disk##*[!0-9]}"}
}

# Sets `disks`, the names of all USB disks with a medium in them.
look_for_disks() {
    disks=
    for sys in "$root"/sys/block/sd*; do
        [ -e "$sys/size" ] || continue
        case $(cd -P "$sys" && pwd) in
            */usb[0-9]*/*) ;;
            *) continue ;;
        esac
        read -r sectors < "$sys/size"
        if [ "$sectors" -gt 0 ]; then
            disks="$disks ${sys##*/}"
        fi
    done
}

# Sets `systems`, all file systems on USB disks as DEVICE=UUID=TYPE, those among them with the label (`labelled`), and
# `k3s`, the partitions for k3s.
# shellcheck disable=SC2034 # for who calls it
look_for_file_systems() {
    systems='' labelled='' k3s=''
    : > "$scan"
    for name in $disks; do
        whole=yes
        for node in "$root/sys/block/$name/$name"[0-9]*; do
            [ -e "$node/partition" ] || continue
            whole=no
            # DEVNAME first, then one line for each property; nothing when nothing was recognised.
            blkid --probe --output export "$root/dev/${node##*/}" >> "$scan" 2> /dev/null || true
        done
        # A disk with partitions has no file system of its own.
        [ $whole = no ] || blkid --probe --output export "$root/dev/$name" >> "$scan" 2> /dev/null || true
    done
    echo DEVNAME= >> "$scan"
    node='' its_label='' its_uuid='' its_type=''
    # shellcheck disable=SC2162 # blkid writes backslashes before special characters
    while IFS= read line; do
        case $line in
            DEVNAME=*)
                if [ -n "$its_type" ]; then
                    systems="$systems $node=$its_uuid=$its_type"
                fi
                if [ "$its_label" = "$LABEL" ]; then
                    labelled="$labelled $node=$its_uuid=$its_type"
                elif [ "$its_label" = labimg-k3s ]; then
                    k3s="$k3s $node=$its_uuid=$its_type"
                fi
                node=${line#*=} its_label='' its_uuid='' its_type=''
                ;;
            LABEL=*) its_label=${line#*=} ;;
            UUID=*) its_uuid=${line#*=} ;;
            TYPE=*) its_type=${line#*=} ;;
        esac
    done < "$scan"
}

# parse DEVICE=UUID=TYPE: sets `device`, `uuid` and `type`.
# shellcheck disable=SC2034 # for who calls it
parse() {
    device=${1%%=*}
    uuid=${1#*=}
    type=${uuid#*=}
    uuid=${uuid%%=*}
}

# USB disks that the kernel has found, but cannot read yet: a hard disk takes some seconds to spin up.
usb_is_busy() {
    for class in "$root"/sys/bus/usb/devices/*:*/bInterfaceClass; do
        [ -e "$class" ] || continue
        read -r code < "$class"
        [ "$code" = 08 ] || continue
        for block in "${class%/*}"/host*/target*/*/block/*; do
            [ -e "$block" ] || return 0
        done
    done
    return 1
}

# Before a disk is chosen for good, all that are plugged in must have been seen.
wait_until_all_are_there() {
    uptime_seconds
    until=$((up + 60))
    before=
    while [ "$up" -lt "$until" ]; do
        look_for_disks
        if [ "$disks" = "$before" ] && ! usb_is_busy; then
            return 0
        fi
        before=$disks
        sleep 2
        uptime_seconds
    done
}

# serials NAME: the disk's own serial number as lsblk shows it, and that of the USB bridge; often the same.
serials() {
    udevadm wait --timeout=5 "/dev/$1" 2> /dev/null || true
    lsblk --nodeps --noheadings --output SERIAL "/dev/$1" || true
    sys=$(readlink -f "$root/sys/block/$1")
    while [ "$sys" != "$root/sys" ] && [ -n "$sys" ]; do
        if [ -e "$sys/idVendor" ]; then
            cat "$sys/serial" 2> /dev/null || true
            return
        fi
        sys=${sys%/*}
    done
}

# plain_serials NAME: the same, safe to be written down.
plain_serials() {
    serials "$1" | tr -cd 'A-Za-z0-9._:\n-' | sed '/./!d'
}

# serial NAME: the first of them.
serial() {
    plain_serials "$1" | sed -n '1p'
}

bytes() {
    blockdev --getsize64 "$root/dev/$1"
}

# stable NAME: how to call a disk or partition so that it stays true when others are plugged in or out.
stable() {
    for link in "$root"/dev/disk/by-id/*; do
        if [ "$(readlink -f "$link")" = "$(readlink -f "$root/dev/$1")" ]; then
            echo "${link#"$root"}"
            return
        fi
    done
    echo "/dev/$1"
}

mib=1048576

# partition SIZE: for a disk of so many bytes sets `data` and `k3s`, the MiB of its two partitions: an eighth for k3s, 256 MiB to
# 16 GiB; 1 MiB stays free at either end. Fails when the disk is too small.
# shellcheck disable=SC2034 # for who calls it
partition() {
    k3s=$(($1 / 8 / mib))
    [ $k3s -ge 256 ] || k3s=256
    [ $k3s -le 16384 ] || k3s=16384
    data=$(($1 / mib - 2 - k3s))
    [ "$1" -ge $((1024 * mib)) ]
}

# describe NAME: for people.
describe() {
    model=$(tr -s ' ' < "$root/sys/block/$1/device/model" 2> /dev/null || true)
    echo "/dev/$1 (${model% }, serial $(serial "$1"), $(bytes "$1") bytes)"
}
