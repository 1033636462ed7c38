#!/bin/sh
# Keeps the firmware partition current on a board with no boot firmware of its own: copies the newest kernel and its
# initramfs there and names them in config.txt. Runs after a kernel is installed or removed, and after an initramfs is
# made. A power cut at any point leaves a config.txt whose files are there.
set -e

boot=/boot/firmware

if ! ischroot && ! mountpoint -q "$boot"; then
    echo "labimg: $boot is not mounted, so the kernel there stays as it is; mount it and run update-initramfs -u" >&2
    exit 1
fi

version=
for kernel in /boot/vmlinuz-*; do
    [ -e "/boot/initrd.img-${kernel#/boot/vmlinuz-}" ] || continue
    version=$(printf '%s\n' "$version" "${kernel#/boot/vmlinuz-}" | sort -V | tail -n 1)
done
if [ -z "$version" ]; then
    # While the first kernel is being installed, its initramfs comes later and calls this again.
    echo "labimg: no kernel with an initramfs in /boot: $boot stays as it is" >&2
    exit 0
fi

in_use() { grep -Fqs -- "$1" "$boot/config.txt"; }

# Removed kernels make room for the new one, all but the one that would start now.
for file in "$boot"/vmlinuz-* "$boot"/initrd.img-*; do
    [ -e "/boot/${file##*/}" ] || in_use "${file##*/}" || rm -f "$file"
done

# A full partition, most of all: what is there stays in use, and nothing of the new kernel takes up more of it.
give_up() {
    rm -f "$boot/vmlinuz-$version.new" "$boot/initrd.img-$version.new" "$boot/config.txt.new"
    for name in "vmlinuz-$version" "initrd.img-$version"; do
        in_use "$name" || rm -f "$boot/$name"
    done
    echo "labimg: $boot keeps the kernel that it has: free some room there (apt-get autoremove takes old kernels away)," \
        "then run update-initramfs -u" >&2
}
trap give_up EXIT

for file in "vmlinuz-$version" "initrd.img-$version"; do
    # FAT keeps no order by itself: what gets the name must be on the card before.
    cmp -s "/boot/$file" "$boot/$file" && continue
    cp "/boot/$file" "$boot/$file.new"
    sync "$boot/$file.new"
    mv "$boot/$file.new" "$boot/$file"
done
sync -f "$boot"

cat >"$boot/config.txt.new" <<EOF
# Written by /etc/kernel/postinst.d/z50-labimg after every change of kernel or initramfs.
arm_64bit=1
kernel=vmlinuz-$version
initramfs initrd.img-$version
EOF
sync "$boot/config.txt.new"
mv "$boot/config.txt.new" "$boot/config.txt"
sync -f "$boot"
trap - EXIT

for file in "$boot"/vmlinuz-* "$boot"/initrd.img-*; do
    [ -e "/boot/${file##*/}" ] || rm -f "$file"
done
