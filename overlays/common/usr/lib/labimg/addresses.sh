# shellcheck shell=sh
# IP addresses as text. Read with `.`; every function only says yes or no, or prints a number.

# is_number TEXT MOST: a decimal number without a leading zero (which other programs read as octal), at most MOST.
is_number() {
    case $1 in
        '' | *[!0-9]* | 0?* | ?????????*) return 1 ;;
    esac
    [ "$1" -le "$2" ]
}

# ipv4_number ADDRESS: the address as one number; fails when it is none.
ipv4_number() {
    case $1 in
        *.*.*.*.* | *.) return 1 ;;
        *.*.*.*) ;;
        *) return 1 ;;
    esac
    sum=0
    rest=$1.
    while [ -n "$rest" ]; do
        part=${rest%%.*}
        rest=${rest#*.}
        is_number "$part" 255 || return 1
        sum=$((sum * 256 + part))
    done
    echo "$sum"
}

# is_ipv6 ADDRESS: without an embedded IPv4 part and without a zone.
is_ipv6() {
    case $1 in
        *[!0-9a-fA-F:]* | *:::* | *::*::*) return 1 ;;
        *:*:*) ;;
        *) return 1 ;;
    esac
    case $1 in
        :[!:]* | *[!:]:) return 1 ;;
    esac
    groups=0
    rest=$1:
    while [ -n "$rest" ]; do
        part=${rest%%:*}
        rest=${rest#*:}
        case $part in
            ?????*) return 1 ;;
            ?*) groups=$((groups + 1)) ;;
        esac
    done
    case $1 in
        *::*) [ "$groups" -le 7 ] ;;
        *) [ "$groups" = 8 ] ;;
    esac
}

is_address() {
    ipv4_number "$1" > /dev/null || is_ipv6 "$1"
}

# is_cidr TEXT: an address with the length of its network's prefix.
is_cidr() {
    case $1 in
        */*/*) return 1 ;;
        */*) ;;
        *) return 1 ;;
    esac
    if ipv4_number "${1%/*}" > /dev/null; then
        is_number "${1#*/}" 32
    else
        is_ipv6 "${1%/*}" && is_number "${1#*/}" 128
    fi
}

# same_network CIDR ADDRESS: whether an IPv4 address lies in the network. Of IPv6 it is not asked: a router there
# is mostly reached by its link-local address.
same_network() {
    own=$(ipv4_number "${1%/*}") || return 0
    other=$(ipv4_number "$2") || return 1
    size=$((1 << (32 - ${1#*/})))
    [ $((own / size)) = $((other / size)) ]
}
