# shellcheck shell=sh
# Wi-Fi: which settings there are, and the file that wpa_supplicant reads, byte for byte as labimg writes it. Read with `.`.
# Names and passphrases are in files, as they may hold any byte.

# ssid_fault FILE: why this is no name of a network; nothing when it is one.
ssid_fault() {
    bytes=$(wc -c < "$1")
    if [ "$bytes" -gt 32 ]; then
        echo "a network's name has at most 32 bytes, this one has $bytes"
    elif grep -q '[[:cntrl:]]' "$1"; then
        echo "a network's name has no control characters"
    fi
}

# is_wifi_key FILE: whether this is the key itself, of 64 hexadecimal digits.
is_wifi_key() {
    [ "$(wc -c < "$1")" = 64 ] && ! grep -q '[^0-9a-fA-F]' "$1"
}

# passphrase_fault FILE: why this is no passphrase, nor a key; nothing when it is.
passphrase_fault() {
    bytes=$(wc -c < "$1")
    if is_wifi_key "$1"; then
        return 0
    elif grep -q '[^ -~]' "$1"; then
        echo "a passphrase has plain letters, digits and signs only (ASCII), this one has others"
    elif [ "$bytes" -lt 8 ] || [ "$bytes" -gt 63 ]; then
        echo "a passphrase has 8 to 63 characters, or it is a key of 64 hexadecimal digits; this one has $bytes"
    fi
}

# country_fault CODE: in capital letters.
country_fault() {
    case $1 in
        UK) echo "the United Kingdom is GB" ;;
        [A-Z][A-Z])
            grep -qxF "$1" "${0%/*}/countries" || echo "no radio rules are known for a country $1; it is two letters, such as DE or US"
            ;;
        *) echo "a country is two letters, such as DE or US" ;;
    esac
}

digits() {
    od -An -v -tx1 "$1" | tr -d ' \n'
}

# wpa_conf SSID-FILE PASSPHRASE-FILE COUNTRY: writes the file for one network, open when there is no passphrase. Nothing in it is in
# quotes. Fails when no key can be made.
wpa_conf() {
    secret='	key_mgmt=NONE'
    if [ -e "$2" ]; then
        secret='	key_mgmt=WPA-PSK WPA-PSK-SHA256'
        # WPA3 knows no such key.
        if is_wifi_key "$2"; then
            key=$(tr A-F a-f < "$2")
            sae=
        else
            # Every process sees another's arguments: the passphrase is none.
            key=$(wpa_passphrase "$(cat "$1")" < "$2" 2> /dev/null | sed -n 's/^[[:blank:]]psk=//p')
            [ ${#key} = 64 ] || return 1
            secret="$secret SAE"
            sae="
	sae_password=$(digits "$2")"
        fi
        secret="$secret
	ieee80211w=1
	psk=$key$sae"
    fi
    cat << EOF
# Written by labimg.
ctrl_interface=/run/wpa_supplicant
country=$3
network={
	ssid=$(digits "$1")
	scan_ssid=1
$secret
}
EOF
}
