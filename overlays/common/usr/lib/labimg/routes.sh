# shellcheck shell=sh
# Whether the node has a way to other networks. Read with `.`.

# Below a root of its own in tests.
proc_net=${LABIMG_ROOT-}/proc/net

# has_route: whether there is a default route. No process: this is asked again and again while the boot waits.
has_route() {
    # proc_net(5): port, destination, gateway, flags, references, use, metric, mask.
    if [ -r "$proc_net/route" ]; then
        while read -r _ to _ _ _ _ _ mask _; do
            if [ "$to$mask" = 0000000000000000 ]; then
                return 0
            fi
        done < "$proc_net/route"
    fi
    # Destination, its length, source, its length, gateway, metric, references, use, flags, port. On lo is what leads nowhere.
    if [ -r "$proc_net/ipv6_route" ]; then
        while read -r to length _ _ _ _ _ _ _ port; do
            if [ "$to/$length" = 00000000000000000000000000000000/00 ] && [ "$port" != lo ]; then
                return 0
            fi
        done < "$proc_net/ipv6_route"
    fi
    return 1
}
