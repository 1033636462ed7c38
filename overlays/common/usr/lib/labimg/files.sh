# shellcheck shell=sh
# What the node's steps share: messages that the boot report understands, and files that a power cut leaves whole.
# Read with `.`.

# A line for the journal.
say() {
    printf '%s\n' "$*"
}

# What a person should know: the boot report lists it. Further arguments are lines that say what to do.
warn() {
    printf 'warning: %s\n' "$1"
    shift
    for advice in "$@"; do
        printf '  %s\n' "$advice"
    done
}

# Sets CLUSTER, ROLE, MASTER and SEED_TIME (seconds since 1970) to what the seed said of this node: nothing and 0 without one.
read_node() {
    # shellcheck disable=SC2034 # for who calls it
    CLUSTER='' ROLE='' MASTER='' SEED_TIME=0
    if [ -r "${LABIMG_ROOT-}/etc/labimg/node.conf" ]; then
        # shellcheck source=/dev/null
        . "${LABIMG_ROOT-}/etc/labimg/node.conf"
    fi
}

# Sets board, role_of_image, date and labimg. One line for each value at the beginning: a form that labimg itself writes.
# shellcheck disable=SC2034 # for who calls it
read_manifest() {
    board='?' role_of_image='?' date='?' labimg='?'
    [ -r "${LABIMG_ROOT-}/usr/share/labimg/manifest.json" ] || return 0
    while read -r key text; do
        text=${text#\"}
        text=${text%\",}
        case $key in
            '"labimg":') labimg=$text ;;
            '"board":') board=$text ;;
            '"role":') role_of_image=$text ;;
            '"date":') date=$text ;;
            '"partitions":') break ;;
        esac
    done < "${LABIMG_ROOT-}/usr/share/labimg/manifest.json"
}

# put FILE MODE [OWNER]: writes standard input to FILE, which has its old or its new content whenever power fails.
put() {
    mkdir -p "${1%/*}"
    (umask 077 && cat > "$1.labimg-new")
    chmod "$2" "$1.labimg-new"
    if [ -n "${3-}" ]; then
        chown "$3" "$1.labimg-new"
    fi
    sync "$1.labimg-new"
    mv "$1.labimg-new" "$1"
    sync "${1%/*}"
}

# remove FILE: it does not come back when power fails.
remove() {
    rm "$1"
    sync "${1%/*}"
}

# wipe FILE: removes a file so that its content cannot be read from the card afterwards.
wipe() {
    shred --iterations=0 --zero "$1"
    remove "$1"
}
