#!/bin/sh
# First process of the node: loads what the root file system needs, checks it, mounts it and starts its init.
#
# Kernel arguments: root=PARTUUID=…|UUID=…|LABEL=…|/dev/…, rootfstype=, rootflags=, rootdelay= (seconds to wait at
# most), ro, rw, init=, fsck.mode=skip|force, fsck.repair=yes|no|preen, panic= (seconds to a reboot when there is no
# root), rescue (a shell instead of that reboot), break and break=bottom (a shell before the root is mounted, and
# before its init starts).
#
# All commands are busybox's, but e2fsck.

# No word of the kernel's command line is a file name pattern.
set -f
PATH=/usr/bin:/usr/sbin

say() {
    echo "<5>initramfs: $*" >/dev/kmsg
}

shell() {
    echo "initramfs: $1; \`exit\` goes on"
    setsid cttyhack sh
}

seconds() {
    read -r up _ </proc/uptime
    echo "${up%.*}"
}

# Gives up: a shell when a person is there, else a reboot, since a disk that was late may be in time then.
fail() {
    echo "initramfs: $*"
    echo "initramfs: disks and partitions that the kernel sees:"
    while read -r _ _ blocks name; do
        case $blocks in
            '' | '#blocks') ;;
            *) echo "  /dev/$name ($((blocks / 1024)) MiB) $(blkid "/dev/$name" | cut -d ' ' -f 2-)" ;;
        esac
    done </proc/partitions
    if [ -n "$rescue" ]; then
        shell "rescue shell"
        return
    fi
    echo "initramfs: the computer restarts in $panic seconds; \`rescue\` on the kernel's command line gives a shell"
    sleep "$panic"
    reboot -f
}

# The first bytes of disk $1 (sectors of $2 bytes): its MBR and what counts of a GPT header, in hexadecimal.
header() { od -An -v -t x1 -N $(($2 + 88)) "/dev/$1"; }

# Sets uuid to the PARTUUID of partition $2 of disk $1, as the kernel writes it; $3 is the size of a sector, the rest
# is the disk's header. (Kernels before 6.13 do not tell it in sysfs. Few processes: this is slow in an emulator.)
partuuid() {
    disk=$1 number=$2 sector=$3 uuid=''
    shift 3
    [ $# -eq $((sector + 88)) ] && [ "${511}${512}" = 55aa ] || return
    id=${444}${443}${442}${441}
    shift "$sector"
    if [ "$1$2$3$4$5$6$7$8" != 4546492050415254 ]; then
        uuid=$(printf '%s-%02x' "$id" "$number")
        return
    fi
    # UEFI specification, 5.3: where the entries start (in sectors), how large one is, and its unique GUID.
    at=$((0x${76}${75}${74}${73} * sector + (number - 1) * 0x${88}${87}${86}${85} + 16))
    # shellcheck disable=SC2046 # one word a byte
    set -- $(od -An -v -t x1 -j "$at" -N 16 "/dev/$disk")
    uuid=$4$3$2$1-$6$5-$8$7-$9${10}-${11}${12}${13}${14}${15}${16}
}

# Prints the device of the partition with PARTUUID $1 (lower case).
by_partuuid() {
    for folder in /sys/class/block/*; do
        head=''
        for file in "$folder"/*/partition; do
            [ -e "$file" ] || continue
            if [ -z "$head" ]; then
                read -r size <"$folder/queue/logical_block_size"
                head=$(header "${folder##*/}" "$size")
            fi
            read -r partition <"$file"
            # shellcheck disable=SC2086 # one word a byte
            partuuid "${folder##*/}" "$partition" "$size" $head
            if [ "$uuid" = "$1" ]; then
                file=${file%/partition}
                echo "/dev/${file##*/}"
                return
            fi
        done
    done
}

# Prints the device that is meant by $1, as in root= and in fstab, or nothing while it is not there.
find_device() {
    case $1 in
        PARTUUID=*)
            set +f
            by_partuuid "$(echo "${1#*=}" | tr A-F a-f)" 2>/dev/null
            set -f
            ;;
        UUID=* | LABEL=*) findfs "$1" 2>/dev/null ;;
        *) [ -b "$1" ] && echo "$1" ;;
    esac
}

# Checks the file system on $1 as systemd-fsck would, and tells systemd so.
check_root() {
    [ -x /usr/sbin/e2fsck ] && [ "$fsck_mode" != skip ] || return
    case $(blkid "$1") in
        *TYPE=\"ext?\"*) ;;
        *) return ;;
    esac
    case $fsck_repair in
        yes) how=-y ;;
        no) how=-n ;;
        *) how=-p ;;
    esac
    [ "$fsck_mode" != force ] || how="$how -f"
    # shellcheck disable=SC2086 # one or two options
    e2fsck $how "$1"
    status=$?
    say "checked $1: e2fsck said $status"
    # e2fsck(8): 1 is repaired, 2 is repaired and to be restarted, 4 and more leave errors: the node starts all the same, so that it can be reached and mended.
    case $status in
        0 | 1)
            mkdir -p /run/initramfs
            : >/run/initramfs/fsck-root
            ;;
        2) reboot -f ;;
    esac
}

mount -t proc -o nosuid,nodev,noexec proc /proc
mount -t sysfs -o nosuid,nodev,noexec sysfs /sys
mount -t devtmpfs -o nosuid,mode=0755 devtmpfs /dev
mount -t tmpfs -o nosuid,nodev,mode=0755 tmpfs /run

root='' type='' flags='' firmware='' mode=ro init=/sbin/init delay=60 panic=30 rescue='' break='' fsck_mode='' fsck_repair=''
read -r cmdline </proc/cmdline
for word in $cmdline; do
    case $word in
        root=*) root=${word#*=} ;;
        rootfstype=*) type=${word#*=} ;;
        rootflags=*) flags=${word#*=} ;;
        rootdelay=*) delay=${word#*=} ;;
        ro | rw) mode=$word ;;
        init=*) init=${word#*=} ;;
        panic=*) panic=${word#*=} ;;
        fsck.mode=*) fsck_mode=${word#*=} ;;
        fsck.repair=*) fsck_repair=${word#*=} ;;
        rescue) rescue=1 ;;
        break) break=mount ;;
        break=*) break=${word#*=} ;;
    esac
done
case $root in
    /dev/disk/by-partuuid/*) root=PARTUUID=${root##*/} ;;
    /dev/disk/by-uuid/*) root=UUID=${root##*/} ;;
    /dev/disk/by-label/*) root=LABEL=${root##*/} ;;
esac

# shellcheck disable=SC2046 # one word a module
modprobe -a $(cat /etc/modules)
say "modules are loaded"

case $break in
    mount | premount) shell "before the root is mounted" ;;
esac

while :; do
    start=$(seconds)
    device=$(find_device "$root")
    while [ -z "$device" ] && [ $(($(seconds) - start)) -lt "$delay" ]; do
        sleep 0.1
        device=$(find_device "$root")
    done
    if [ -z "$device" ]; then
        fail "no root file system: waited $delay seconds for \`root=$root\`"
        continue
    fi
    check_root "$device"
    # shellcheck disable=SC2086 # no option at all when there is no type
    if ! mount ${type:+-t "$type"} -o "$mode${flags:+,$flags}" "$device" /root; then
        fail "$device (\`root=$root\`) cannot be mounted"
        continue
    fi
    # Only links count as they are: an absolute one leads nowhere from here.
    [ -x "/root$init" ] || [ -L "/root$init" ] && break
    umount /root
    fail "$device (\`root=$root\`) has no $init"
done
say "root is $device"

[ "$break" != bottom ] || shell "before the root's init starts"

# What systemd would mount next, each by a process of its own, which takes ten times as long. What the administrator masked or
# changed, and what does not work here, is left to systemd.
early() {
    if [ -e "/root/etc/systemd/system/$1" ] || [ -L "/root/etc/systemd/system/$1" ]; then
        return
    fi
    mkdir -p "$3" 2>/dev/null
    mount -t "$2" -o "$4" "$2" "$3" 2>/dev/null
}
early dev-hugepages.mount hugetlbfs /dev/hugepages nosuid,nodev
early dev-mqueue.mount mqueue /dev/mqueue nosuid,nodev,noexec
early sys-kernel-debug.mount debugfs /sys/kernel/debug nosuid,nodev,noexec
early sys-kernel-tracing.mount tracefs /sys/kernel/tracing nosuid,nodev,noexec
early run-lock.mount tmpfs /run/lock mode=1777,nosuid,nodev,noexec,size=5242880
[ -L /root/tmp ] || early tmp.mount tmpfs /root/tmp mode=1777,strictatime,nosuid,nodev,size=50%,nr_inodes=1m

# The firmware partition too, when fstab has it and it is in order: the seed and the network wait for it, and udev comes to it
# late. Sets firmware, its place and its options for mount(8).
find_firmware() {
    firmware='' place='' options=''
    while read -r what place kind words _; do
        [ "$kind" = vfat ] || continue
        for word in $(echo "$words" | tr , ' '); do
            case $word in
                noauto | x-systemd.automount) return ;;
                auto | nofail | x-*) ;;
                *) options=$options,$word ;;
            esac
        done
        firmware=$(find_device "$what")
        return
    done </root/etc/fstab
}
[ ! -r /root/etc/fstab ] || find_firmware

for folder in dev proc sys run; do
    mount -o move "/$folder" "/root/$folder"
done
if [ -n "$firmware" ] && { [ "$fsck_mode" = skip ] || chroot /root /usr/sbin/fsck.vfat -a "$firmware" >/dev/null 2>&1; }; then
    # Where /dev is by now, and will be.
    chroot /root /usr/bin/busybox mount -t vfat -o "${options#,}" "$firmware" "$place"
fi
# The root's init gets only what the kernel gave this one.
unset PATH PWD OLDPWD SHLVL
exec /usr/bin/switch_root -c /dev/console /root "$init" "$@"
