# shellcheck shell=sh
# IP addresses as text. Read with `.`; every function only says yes or no, or prints a number.

# is_number TEXT MOST: a decimal number without a leading zero (which other programs read as octal), at most MOST.
is_number() {
    case $1 in
        '' | *[!0-9]* | 0?* | ?????????*) return 1 ;;
    esac
    [ "$1" -le "$2" ]
}

# ipv4_hex ADDRESS: the address as 8 hexadecimal digits; fails when it is none.
ipv4_hex() {
    case $1 in
        *.*.*.*.* | *.) return 1 ;;
        *.*.*.*) ;;
        *) return 1 ;;
    esac
    sum=0
    dotted=$1.
    while [ -n "$dotted" ]; do
        part=${dotted%%.*}
        dotted=${dotted#*.}
        is_number "$part" 255 || return 1
        sum=$((sum * 256 + part))
    done
    printf '%08x\n' "$sum"
}

# ipv6_hex ADDRESS: the address as 32 hexadecimal digits; fails when it is none. One with a zone (`%eth0`) is none.
ipv6_hex() {
    case $1 in
        *[!0-9a-fA-F:.]* | *:::* | *::*::*) return 1 ;;
        *:*:*) ;;
        *) return 1 ;;
    esac
    case $1 in
        :[!:]* | *[!:]:) return 1 ;;
    esac
    groups=0 before='' hex=''
    rest=$1:
    [ "${1#::}" = "$1" ] || rest=${rest#:}
    while [ -n "$rest" ]; do
        part=${rest%%:*}
        rest=${rest#*:}
        case $part in
            # The end may be written as an IPv4 address.
            *.*)
                [ -z "$rest" ] || return 1
                hex=$hex$(ipv4_hex "$part") || return 1
                groups=$((groups + 2))
                ;;
            ?????*) return 1 ;;
            ?*)
                hex=$hex$(printf '%04x' "0x$part")
                groups=$((groups + 1))
                ;;
            # Here the zeros are left out.
            '') [ -z "$rest" ] && [ -n "$before" ] || before=$hex- hex='' ;;
        esac
    done
    case $before in
        '') [ "$groups" = 8 ] || return 1 ;;
        *)
            [ "$groups" -le 7 ] || return 1
            hex=${before%-}$(printf "%0$(((8 - groups) * 4))d" 0)$hex
            ;;
    esac
    echo "$hex"
}

# address_hex ADDRESS: as hexadecimal digits, 8 of IPv4 and 32 of IPv6; fails when it is none.
address_hex() {
    ipv4_hex "$1" || ipv6_hex "$1"
}

is_address() {
    address_hex "$1" > /dev/null
}

# is_cidr TEXT: an address with the length of its network's prefix.
is_cidr() {
    case $1 in
        */*/*) return 1 ;;
        */*) ;;
        *) return 1 ;;
    esac
    hex=$(address_hex "${1%/*}") || return 1
    is_number "${1#*/}" $((${#hex} * 4))
}

# host_part PREFIX HEX: what follows the network in an address: `zeros`, `ones` or `mixed`; nothing when only one bit or none does.
host_part() {
    [ "$1" -lt $((${#2} * 4 - 1)) ] || return 0
    whole=$(printf "%.$(($1 / 4))s" "$2")
    tail=${2#"$whole"}
    bits=$((15 >> ($1 % 4)))
    first=$((0x${tail%"${tail#?}"} & bits))
    case $first:${tail#?} in
        0:*[!0]*) echo mixed ;;
        0:*) echo zeros ;;
        "$bits":*[!f]*) echo mixed ;;
        "$bits":*) echo ones ;;
        *) echo mixed ;;
    esac
}

# network_hex PREFIX HEX: the address with zeros after its network's prefix.
network_hex() {
    whole=$(printf "%.$(($1 / 4))s" "$2")
    tail=${2#"$whole"}
    if [ -n "$tail" ]; then
        printf '%s%x' "$whole" $((0x${tail%"${tail#?}"} & ~(15 >> ($1 % 4)) & 15))
        tail=${tail#?}
        [ -z "$tail" ] || printf "%0${#tail}d" 0
    else
        printf '%s' "$whole"
    fi
    echo
}

# same_network CIDR ADDRESS: whether an address lies in the network.
same_network() {
    own=$(address_hex "${1%/*}") && other=$(address_hex "$2") && [ ${#own} = ${#other} ] &&
        [ "$(network_hex "${1#*/}" "$own")" = "$(network_hex "${1#*/}" "$other")" ]
}

# reserved CIDR ADDRESS: what the address is, when no node of the network can have it.
reserved() {
    same_network "$1" "$2" || return 0
    case $(host_part "${1#*/}" "$(address_hex "$2")"):$2 in
        zeros:*) echo "the network's own" ;;
        ones:*:*) ;;
        ones:*) echo "the network's broadcast address" ;;
    esac
}

# node_fault CIDR: why no node can have this address in this network; nothing when one can.
node_fault() {
    case $(address_hex "${1%/*}") in
        # Unspecified, of the computer itself, of many at once.
        00000000 | 7f?????? | e??????? | ffffffff | 00000000000000000000000000000000 | 00000000000000000000000000000001 | \
            ff??????????????????????????????) echo "an address that no node can have" ;;
        *) reserved "$1" "${1%/*}" ;;
    esac
}
