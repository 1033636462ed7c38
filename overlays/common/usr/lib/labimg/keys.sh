# shellcheck shell=sh
# SSH keys as the node's sshd takes them (sshd(8), "AUTHORIZED_KEYS FILE FORMAT"). Read with `.`, after addresses.sh.

# next_value: sets value to what stands in double quotes at the beginning of rest, and takes it off there. In it `\"` is a
# quote. Fails when the quotes are not closed.
next_value() {
    rest=${rest#\"}
    value=
    while :; do
        case $rest in
            *\"*) ;;
            *) return 1 ;;
        esac
        piece=${rest%%\"*}
        rest=${rest#*\"}
        case $piece in
            *\\) value="$value${piece%\\}\"" ;;
            *)
                value=$value$piece
                return 0
                ;;
        esac
    done
}

# is_between TEXT LEAST MOST: a number of two digits, or nothing.
is_between() {
    [ -z "$1" ] || { [ "${1#0}" -ge "$2" ] && [ "${1#0}" -le "$3" ]; }
}

# is_time TEXT: the date until which a key counts.
is_time() {
    digits=$(printf '%s' "$1" | tr '[:upper:]' '[:lower:]')
    case $digits in
        *utc) digits=${digits%utc} ;;
        *z) digits=${digits%z} ;;
    esac
    case $digits in
        *[!0-9]*) return 1 ;;
    esac
    case ${#digits} in
        8 | 12 | 14) ;;
        *) return 1 ;;
    esac
    tail=${digits#????}
    for range in '1 12' '1 31' '0 23' '0 59' '0 60'; do
        two=${tail%"${tail#??}"}
        tail=${tail#??}
        is_between "$two" "${range% *}" "${range#* }" || return 1
    done
}

# is_port TEXT
is_port() {
    case $1 in
        '*') return 0 ;;
        '' | *[!0-9]* | ??????*) return 1 ;;
    esac
    [ "$1" -gt 0 ] && [ "$1" -le 65535 ]
}

# is_host_and_port TEXT
is_host_and_port() {
    case $1 in
        '['*']'[:/]*) is_port "${1#*\]?}" ;;
        '['*) return 1 ;;
        *[:/]*) is_port "${1#*[:/]}" ;;
        *) return 1 ;;
    esac
}

# pattern_fault PATTERN: why sshd takes no list with this pattern in `from`; nothing when it does. One wrong network makes it
# refuse the key from everywhere.
pattern_fault() {
    pattern=${1#!}
    case $pattern in
        '') echo "a pattern is missing" ;;
        */*)
            if ! is_cidr "$pattern"; then
                echo "a network is an address with the length of its prefix"
            elif [ "$(network_hex "${pattern#*/}" "$(address_hex "${pattern%/*}")")" != "$(address_hex "${pattern%/*}")" ]; then
                echo "the address of a network ends in zeros after its prefix"
            fi
            ;;
    esac
}

# value_fault OPTION VALUE: why sshd does not take this value; nothing when it does.
value_fault() {
    case $1 in
        from)
            list=$2,
            while [ -n "$list" ]; do
                why=$(pattern_fault "${list%%,*}")
                [ -z "$why" ] || break
                list=${list#*,}
            done
            printf '%s' "${why-}"
            ;;
        expiry-time) is_time "$2" || echo "a time is written as YYYYMMDD, YYYYMMDDHHMM or YYYYMMDDHHMMSS, with Z for UTC" ;;
        environment)
            case $2 in
                =* | "${2%%=*}") echo "a variable is written as NAME=value" ;;
                *)
                    case ${2%%=*} in
                        *[!A-Za-z0-9_]*) echo "a variable is written as NAME=value" ;;
                    esac
                    ;;
            esac
            ;;
        permitopen) is_host_and_port "$2" || echo "this is no HOST:PORT" ;;
        permitlisten) is_host_and_port "$2" || is_port "$2" || echo "this is no PORT or HOST:PORT" ;;
        tunnel)
            case $2 in
                any) ;;
                '' | *[!0-9]* | ???????????*) echo "a tunnel is a number or \`any\`" ;;
                *) [ "$2" -le 2147483645 ] || echo "a tunnel is a number or \`any\`" ;;
            esac
            ;;
    esac
}

# take_options: takes the options off the beginning of rest; otherwise says what is wrong with them, and fails.
take_options() {
    seen=,
    while :; do
        name=${rest%%[,[:blank:]=\"]*}
        after=${rest#"$name"}
        given=$name
        name=$(printf '%s' "$name" | tr '[:upper:]' '[:lower:]')
        case $name:$after in
            command:=* | principals:=* | from:=* | expiry-time:=* | environment:=* | permitopen:=* | permitlisten:=* | tunnel:=*)
                case $name:$seen in
                    command:*,command,* | principals:*,principals,* | from:*,from,*)
                        echo "the option \`$name\` is there twice"
                        return 1
                        ;;
                esac
                rest=${after#=}
                case $rest in
                    \"*) ;;
                    *)
                        echo "the option \`$name\` needs a value in double quotes"
                        return 1
                        ;;
                esac
                if ! next_value; then
                    echo "the quotes after \`$name\` are not closed"
                    return 1
                fi
                why=$(value_fault "$name" "$value")
                if [ -n "$why" ]; then
                    echo "\`$name=\"$value\"\`: $why"
                    return 1
                fi
                ;;
            command:* | principals:* | from:* | expiry-time:* | environment:* | permitopen:* | permitlisten:* | tunnel:*)
                echo "the option \`$name\` needs a value in double quotes"
                return 1
                ;;
            *:=* | *:\"*)
                echo "\`$given\` is not an option of a key"
                return 1
                ;;
            # Between two commas nothing is asked for.
            :*) rest=$after ;;
            *)
                case ${name#no-} in
                    port-forwarding | agent-forwarding | x11-forwarding | touch-required | verify-required | pty | user-rc) ;;
                    restrict | cert-authority) [ "$name" = "${name#no-}" ] || after='!' ;;
                    *) after='!' ;;
                esac
                if [ "$after" = '!' ]; then
                    echo "\`$given\` is not an option of a key"
                    return 1
                fi
                rest=$after
                ;;
        esac
        seen=$seen$name,
        case $rest in
            ,*) rest=${rest#,} ;;
            '' | [[:blank:]]*) break ;;
            *)
                echo "\`$given\` is not an option of a key"
                return 1
                ;;
        esac
    done
    case $seen in
        *,cert-authority,*) ;;
        *,principals,*)
            echo "the option \`principals\` only goes with \`cert-authority\`"
            return 1
            ;;
    esac
}

# skip_blanks: takes blanks off the beginning of rest.
skip_blanks() {
    rest=${rest#"${rest%%[![:blank:]]*}"}
}

# key_fault LINE FILE: why nobody could log in with this line of authorized_keys; nothing when somebody could. FILE is written over.
key_fault() {
    case $1 in
        *PRIVATE\ KEY*) echo "this is a private key: make a new pair, and write the line of the file that ends in \`.pub\` here" ;;
        PuTTY-User-Key-File-*) echo "this is a file of PuTTY with the private key in it: \`puttygen FILE -O public-openssh\` gives the line to write here" ;;
        '---- BEGIN SSH2'*) echo "this public key has the form of PuTTY: \`ssh-keygen -i -f FILE\` gives the line to write here" ;;
        '-----BEGIN PUBLIC KEY'*) echo "this public key has the form of OpenSSL: \`ssh-keygen -i -m PKCS8 -f FILE\` gives the line to write here" ;;
        '-----BEGIN RSA PUBLIC KEY'*) echo "this public key has the form of OpenSSL: \`ssh-keygen -i -m PEM -f FILE\` gives the line to write here" ;;
        '-----BEGIN PGP'*) echo "this is a key of OpenPGP: \`gpg --export-ssh-key NAME\` gives the line to write here" ;;
        gh:* | github:* | gl:* | lp:* | http://* | https://*)
            echo "keys are not fetched from web sites: write the line itself, such as one of https://github.com/NAME.keys"
            ;;
        '['*'"key"'* | '{'*'"key"'*) echo "this is JSON: write what stands as \`key\` in it" ;;
        SHA256:* | MD5:*) echo "this is the fingerprint of a key: write the one line of a file that ends in \`.pub\`" ;;
        *[[:cntrl:]]*) control_fault "$1" "$2" ;;
        *) line_fault "$1" "$2" ;;
    esac
}

# control_fault LINE FILE: of control characters a key may hold tabs alone.
control_fault() {
    if [ "$(printf '%s' "$1" | tr -d '\t')" = "$(printf '%s' "$1" | tr -d '[:cntrl:]')" ]; then
        line_fault "$1" "$2"
    else
        echo "the key holds a control character"
    fi
}

line_fault() {
    rest=$1
    first=${rest%%[[:blank:]]*}
    rest=${rest#"$first"}
    skip_blanks
    # Where a kind should be, a wrong one is not taken for options.
    case $first:$rest in
        ssh-* | ecdsa-* | sk-* | rsa-*) options=no ;;
        *[=\",]*:*) options=yes ;;
        *: | *:AAAA*) options=no ;;
        *) options=yes ;;
    esac
    rest=$1
    if [ $options = yes ]; then
        take_options || return 0
        skip_blanks
    fi
    kind=${rest%%[[:blank:]]*}
    rest=${rest#"$kind"}
    skip_blanks
    case $kind in
        ssh-dss)
            echo "this is a DSA key, which OpenSSH does not take any more: make another one with \`ssh-keygen -t ed25519\`"
            return 0
            ;;
        *-cert-v0*)
            echo "this is a certificate, which sshd does not read here: write the key itself, from the file without \`-cert\`"
            return 0
            ;;
        ssh-ed25519 | ssh-rsa | rsa-sha2-256 | rsa-sha2-512) ;;
        ecdsa-sha2-nistp256 | ecdsa-sha2-nistp384 | ecdsa-sha2-nistp521) ;;
        sk-ssh-ed25519@openssh.com | sk-ecdsa-sha2-nistp256@openssh.com) ;;
        *)
            echo "a public key begins with its kind, such as \`ssh-ed25519 AAAA…\`; it is the one line of a file that ends in \`.pub\`"
            return 0
            ;;
    esac
    printf '%s %s\n' "$kind" "$rest" > "$2"
    if [ -z "$rest" ] || ! ssh-keygen -l -f "$2" > /dev/null 2>&1; then
        echo "this is no whole public key: copy the line of the \`.pub\` file once more"
    fi
}
