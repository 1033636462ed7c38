#!/bin/sh
# STAND-IN for k3s: no Kubernetes. For tests: `labimg build --k3s-bin tests/boot/k3s-stand-in.sh` puts it at /usr/local/bin/k3s.
#
# It checks on the node what labimg promises to k3s (files, modes, keys, names, order of the start) and does as much of
# k3s's part as shows that nodes find and trust each other: servers answer on port 6443 with a certificate of the
# cluster's CA, nodes register there with name and password. A broken promise ends it with an error, which stays in
# /run/k3s-stand-in/failed. What real k3s waits for (a server that is not up yet), this waits for.
set -eu

run=/run/k3s-stand-in
etc=/etc/rancher/k3s
lib=/var/lib/rancher/k3s
config=$etc/config.yaml
port=6443

say() { echo "STAND-IN for k3s: $*"; }
fail() {
    say "FAILED: $*" >&2
    echo "$*" >>$run/failed
    exit 1
}
# Not a broken promise: real k3s ends here as well, and systemd starts it again.
give_up() { say "$*" >&2; exit 1; }

mkdir -p $run
chmod 700 $run
[ "${1-}" = kubectl ] || echo "STAND-IN for k3s, not k3s"

[ "$(basename "$0")" = k3s ] || fail "called as $0: the stand-in has no crictl or ctr"
if [ "${1-}" = kubectl ]; then
    [ -e $run/deploy.pl ] || give_up "no server runs here"
    shift
    exec perl $run/deploy.pl "$@"
fi
[ $# = 1 ] || fail "arguments are '$*', not one of server, agent"
case $1 in
    server | agent) kind=$1 ;;
    *) fail "argument is '$1', not server or agent" ;;
esac

# The value of a key of config.yaml: a scalar, or each item of a list on a line.
setting() {
    awk -v key="$1" '
        function plain(s) { gsub(/^[ \t]+|[ \t\r]+$/, "", s); gsub(/^["\047]|["\047]$/, "", s); return s }
        inlist && /^[ ]*- / { sub(/^[ ]*- /, ""); print plain($0); next }
        { inlist = 0 }
        index($0, key ":") == 1 || index($0, "\"" key "\":") == 1 {
            value = $0; sub(/^[^:]*:/, "", value); value = plain(value)
            if (value == "") { inlist = 1; next }
            if (value ~ /^\[.*\]$/) {
                sub(/^\[/, "", value); sub(/\]$/, "", value)
                count = split(value, items, ",")
                for (i = 1; i <= count; i++) print plain(items[i])
            } else print value
        }' $config
}
# private FILE: a regular file of root's that nobody else may read.
private() {
    [ -f "$1" ] || fail "$1 is missing"
    [ "$(stat -c '%u:%g %a' "$1")" = "0:0 600" ] || fail "$1 has owner and mode $(stat -c '%u:%g %a' "$1"), not 0:0 600"
}
hash_of() { sha256sum "$1" | cut -d' ' -f1; }

# --- what every node must have

[ -n "${NOTIFY_SOCKET-}" ] || fail "not started by systemd with Type=notify"
# shellcheck source=/dev/null
. /etc/labimg/node.conf
name=$(cat /proc/sys/kernel/hostname)
[ "$name" = "$(cat /etc/hostname)" ] || fail "the host is called $name, /etc/hostname says $(cat /etc/hostname)"
case $kind-$ROLE in
    server-master | server-server | agent-worker) ;;
    *) fail "started as $kind on a node whose role is $ROLE" ;;
esac
private $config
if [ "$kind-$ROLE" = server-master ] && [ ! -e $etc/token ]; then
    # Built without a lab: k3s makes its own keys and tokens.
    [ -z "$(setting token-file)$(setting agent-token-file)$(setting server)" ] || fail "config.yaml names tokens, and there are none"
    [ ! -e $lib/server/tls ] || fail "there are keys in $lib/server/tls, and no token"
    say "a cluster of its own"
    systemd-notify --ready
    while :; do sleep 3600; done
fi
private /etc/rancher/node/password
password=$(cat /etc/rancher/node/password)
[ ${#password} -ge 16 ] || fail "/etc/rancher/node/password is ${#password} characters long"
[ "$(setting token-file)" = $etc/token ] || fail "config.yaml: token-file is '$(setting token-file)'"
private $etc/token
token=$(cat $etc/token)
case $kind in
    server) user=server ;;
    agent) user=node ;;
esac
printf '%s\n' "$token" | grep -Eqx "K10[0-9a-f]{64}::$user:[^:[:space:]]{16,}" ||
    fail "$etc/token is not K10<64 hexadecimal digits>::$user:<password>"
ca_hash=$(printf '%s' "$token" | cut -c4-67)
[ -z "$(find $etc /etc/rancher/node -type f -perm /077 ! -name '*.yaml')" ] ||
    fail "others may read $(find $etc /etc/rancher/node -type f -perm /077 ! -name '*.yaml' | tr '\n' ' ')"

# --- clock

now=$(date +%s)
[ "$now" -ge "${SEED_TIME:?}" ] || fail "the clock says $now, the seed was made at $SEED_TIME"
clock=$(systemctl show -P ActiveState labimg-clock.service)
[ "$clock" = active ] || fail "labimg-clock.service is $clock at the start of k3s"

# As real k3s: no default route, no start.
[ -n "$(ip route show default; ip -6 route show default)" ] || give_up "no default route: k3s would end here too"

# --- storage

if [ "$ROLE" = master ] && [ -r /etc/labimg/storage.conf ]; then
    # shellcheck source=/dev/null
    . /etc/labimg/storage.conf
    grep -qs '^status=' /run/labimg/steps/storage.status || fail "labimg-storage has not ended before the start of k3s"
    if [ -e "/dev/disk/by-label/$LABEL" ]; then
        findmnt -n /srv/labimg >/dev/null || fail "a disk has the label $LABEL, but /srv/labimg is not mounted"
        # It follows the node's addresses, with a moment's delay.
        tries=0
        until exportfs -s | grep -q '^/srv/labimg '; do
            tries=$((tries + 1))
            [ $tries -lt 30 ] || fail "/srv/labimg is mounted, but not exported"
            sleep 1
        done
        if [ "$K3S_DB" = yes ]; then
            findmnt -n $lib/server/db >/dev/null || fail "K3S_DB=yes, but $lib/server/db is not mounted from the disk"
        fi
    else
        say "no disk with the label $LABEL"
    fi
fi

# --- how a Go program finds a host: it asks the name server of resolv.conf, whatever nsswitch.conf says

resolve() {
    perl -MSocket -e '
        my ($name, $server) = @ARGV;
        my $query = pack("n6", 7, 0x0100, 1, 0, 0, 0) . join("", map { pack("C/a", $_) } split(/\./, $name)) . pack("Cnn", 0, 1, 1);
        socket(my $s, PF_INET, SOCK_DGRAM, 0) or exit 2;
        send($s, $query, 0, sockaddr_in(53, inet_aton($server))) or exit 2;
        my $ready = ""; vec($ready, fileno($s), 1) = 1;
        select($ready, undef, undef, 10) or exit 3;
        recv($s, my $answer, 4096, 0);
        my ($id, $flags, $qd, $an) = unpack("n4", $answer);
        exit 4 if ($flags & 15) || !$an;
        print inet_ntoa(substr($answer, -4)), "\n"' "$1" "$(sed -n 's/^nameserver //p' /etc/resolv.conf | head -n 1)"
}

# --- joining a server

request() { # HOST PATH CAFILE [HEADER…]: the body of the answer; status 0 on HTTP 200
    host=$1 path=$2 ca=$3
    shift 3
    # By IPv4: s_client cannot reach the link-local addresses that mDNS gives as well.
    at=$(resolve "$host") || return 1
    {
        printf 'GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n' "$path" "$host"
        for header in "$@"; do printf '%s\r\n' "$header"; done
        printf '\r\n'
    } | timeout 60 openssl s_client -quiet -connect "$at:$port" -servername "$host" ${ca:+-CAfile "$ca" -verify_hostname "$host" -verify_return_error} \
        >$run/answer 2>$run/answer.log || true
    sed '1,/^\r*$/d' $run/answer >$run/body
    head -n 1 $run/answer | grep -q '^HTTP/1.[01] 200 '
}

register() { # HOST USER:PASSWORD
    request "$1" /v1-k3s/serving-kubelet.crt $run/ca.crt "Authorization: Basic $(printf '%s' "$2" | openssl base64 -A)" \
        "k3s-Node-Name: $name" "k3s-Node-Password: $password"
}

join_server() {
    url=$(setting server)
    host=${url#https://}
    host=${host%:"$port"}
    [ "$url" = "https://$MASTER.local:$port" ] || fail "config.yaml: server is '$url', not https://$MASTER.local:$port"
    until getent hosts "$host" >/dev/null && address=$(resolve "$host"); do
        say "$host is not there yet"
        sleep 5
    done
    say "$host is $address"
    until request "$host" /cacerts ""; do
        say "$url gives no /cacerts yet: $(tail -n 1 $run/answer.log)"
        sleep 5
    done
    cp $run/body $run/ca.crt
    [ "$(hash_of $run/ca.crt)" = "$ca_hash" ] || fail "the CA of $url is $(hash_of $run/ca.crt), the token says $ca_hash"
    until register "$host" "$user:${token##*:}"; do
        case $(head -n 1 $run/answer) in
            *' 401 '* | *' 403 '*) fail "$url refuses this node: $(cat $run/body)" ;;
        esac
        say "$url does not answer: $(tail -n 1 $run/answer.log)"
        sleep 5
    done
    say "registered at $url as $name"
}

if [ "$kind" = agent ]; then
    [ -z "$(setting cluster-init)$(setting agent-token-file)" ] || fail "config.yaml of a worker has settings of a server"
    [ ! -e $lib/server/tls ] || fail "a worker has $lib/server/tls"
    [ ! -e $etc/agent-token ] || fail "a worker has $etc/agent-token"
    join_server
    systemd-notify --ready
    while :; do
        sleep 20
        register "$host" "$user:${token##*:}" || say "no heartbeat: $(head -n 1 $run/answer)"
    done
fi

# --- servers

[ "$(setting agent-token-file)" = $etc/agent-token ] ||
    fail "config.yaml: agent-token-file is '$(setting agent-token-file)'"
private $etc/agent-token
tls=$lib/server/tls
if [ "$ROLE" = server ]; then
    join_server
else
    [ -z "$(setting server)" ] || fail "config.yaml of the master has server: $(setting server)"
fi
if [ "$ROLE" = master ]; then
    for ca in server-ca client-ca request-header-ca etcd/peer-ca etcd/server-ca; do
        [ -f "$tls/$ca.crt" ] || fail "$tls/$ca.crt is missing"
        private "$tls/$ca.key"
        [ "$(openssl pkey -in "$tls/$ca.key" -pubout)" = "$(openssl x509 -in "$tls/$ca.crt" -noout -pubkey)" ] ||
            fail "$tls/$ca.key does not belong to $tls/$ca.crt"
        openssl verify -CAfile "$tls/$ca.crt" "$tls/$ca.crt" >/dev/null || fail "$tls/$ca.crt does not hold now"
        openssl x509 -in "$tls/$ca.crt" -noout -ext basicConstraints | grep -q CA:TRUE || fail "$tls/$ca.crt is no CA"
    done
    private $tls/service.key
    [ "$(hash_of $tls/server-ca.crt)" = "$ca_hash" ] ||
        fail "$tls/server-ca.crt is $(hash_of $tls/server-ca.crt), the token says $ca_hash"
    readable=$(find $lib/server -type f -perm /077 ! -name '*.crt')
    [ -z "$readable" ] || fail "others may read $readable"
    [ -n "$(find $lib/server/manifests -name '*.yaml')" ] || fail "there are no manifests in $lib/server/manifests"
fi

# The serving certificate has the names that k3s gives it: its own and those of tls-san.
if [ "$ROLE" = master ]; then
    names="DNS:kubernetes,DNS:kubernetes.default,DNS:localhost,DNS:$name,IP:127.0.0.1,IP:::1"
    for address in $(hostname -I); do names="$names,IP:${address%%%*}"; done
    for san in $(setting tls-san); do
        case $san in
            *[!0-9.]*) names="$names,DNS:$san" ;;
            *) names="$names,IP:$san" ;;
        esac
    done
    umask 077
    openssl ecparam -name prime256v1 -genkey -noout -out $run/serving.key
    openssl req -new -key $run/serving.key -subj /O=k3s/CN=k3s -out $run/serving.csr
    printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth\n' "$names" >$run/serving.ext
    openssl x509 -req -in $run/serving.csr -CA $tls/server-ca.crt -CAkey $tls/server-ca.key -set_serial 2 -days 365 \
        -extfile $run/serving.ext -out $run/serving.crt 2>$run/serving.log || fail "no certificate: $(cat $run/serving.log)"
    mkdir -p $lib/server/stand-in-nodes

    cat >$run/deploy.pl <<'PERL'
# STAND-IN for k3s's deploy controller, Helm controller and kubectl. It applies the files of the manifests folder as far as
# shows whether they fit together: each object has kind and name, its namespace is there, a chart waits for its Secrets. What
# it applied stays in a folder, as in a database. No chart is installed and no pod runs.
use strict;
use warnings;

my $run = $ENV{STAND_IN_RUN} // "/run/k3s-stand-in";
my $lib = $ENV{STAND_IN_LIB} // "/var/lib/rancher/k3s";
umask 077;
my $manifests = "$lib/server/manifests";
my $applied = "$lib/server/stand-in-applied";
mkdir $applied;

sub content { my ($path) = @_; open my $f, "<:raw", $path or return; local $/; my $c = <$f>; close $f; $c }
# A database keeps what it has said yes to, whenever power fails.
sub store {
    my ($path, $text) = @_;
    open my $f, ">", "$path.$$" or die "$path: $!";
    print $f $text;
    close $f;
    rename "$path.$$", $path or die "$path: $!";
    system "sync", "-f", $path;
}
sub broken { my ($what) = @_; open my $f, ">>", "$run/failed"; print $f "$what\n"; close $f }
sub sha256 { my ($path) = @_; (split " ", `sha256sum $path`)[0] }

# A field of `metadata`, or of the document.
sub field {
    my ($text, $name) = @_;
    my ($metadata) = $text =~ /^metadata:[ ]*(\{[^\n]*\}|\n(?:[ ]+[^\n]*\n)+)/m or return;
    my ($value) = $metadata =~ /(?:^|[\n{,])[ ]*"?$name"?:[ ]*"?([^",}\n]+?)"?[ ]*(?:[,}\n]|$)/ or return;
    $value;
}

# The objects of a text, as [kind, namespace, name, text].
sub objects {
    my ($file, $text) = @_;
    my @all;
    for my $document (split /^---.*\n/m, $text) {
        next unless $document =~ /^[^#\s]/m;
        my ($kind) = $document =~ /^kind:[ ]*"?([A-Za-z]+)"?[ ]*$/m;
        my $name = field($document, "name");
        broken("$file has a document without kind or name"), next unless defined $kind && defined $name;
        push @all, [$kind, field($document, "namespace") // "kube-system", $name, $document];
    }
    @all;
}

# What was applied: name of the file → [checksum, objects as `kind/namespace/name` …].
sub state {
    my %all;
    for my $path (glob "$applied/*.yaml") {
        my ($name) = $path =~ m{([^/]+)$};
        my ($sum, @objects) = split /\n/, content($path) // "";
        $all{$name} = [$sum, @objects] if defined $sum;
    }
    %all;
}

# One pass over the folder, as k3s makes one every 15 seconds.
sub deploy {
    my %state = state();
    my %known = map { $_ => 1 } map { my (undef, @objects) = @$_; @objects } values %state;
    for my $path (glob "$manifests/*.yaml") {
        my ($name) = $path =~ m{([^/]+)$};
        next if -e "$path.skip";
        my $sum = sha256($path) // next;
        next if $state{$name} && $state{$name}[0] eq $sum;
        my $text = content($path) // next;
        if ($text =~ /\0/) { next }
        my @objects = objects($name, $text);
        my %own = map { $$_[2] => 1 } grep { $$_[0] eq "Namespace" } @objects;
        # In a namespace that is not there an object is refused, and the file is tried again.
        next if grep { $$_[1] ne "kube-system" && !$known{"Namespace/kube-system/$$_[1]"} && !$own{$$_[1]} } grep { $$_[0] ne "Namespace" } @objects;
        my @names = map { join "/", @$_[0, 1, 2] } @objects;
        store("$applied/$name", join("\n", $sum, @names) . "\n");
        $known{$_} = 1 for @names;
    }
    state();
}

# The HelmCharts that were applied: name → whether all Secrets that they wait for are there.
sub charts {
    my %state = deploy();
    my %known = map { $_ => 1 } map { my (undef, @objects) = @$_; @objects } values %state;
    my %charts;
    for my $name (keys %state) {
        for my $object (objects($name, content("$manifests/$name") // "")) {
            # What is only configured comes with k3s.
            next unless $$object[0] =~ /^HelmChart(Config)?$/;
            my ($secrets) = $$object[3] =~ /^  valuesSecrets:\n((?:[ ]{2,}[ -][^\n]*\n)+)/m;
            my @wanted = ($secrets // "") =~ /name:[ ]*"?([^"\s]+)/g;
            $charts{$$object[2]} = !grep { !$known{"Secret/$$object[1]/$_"} } @wanted;
        }
    }
    %charts;
}

# `kubectl get … -o go-template-file=stack-facts.gotemplate`: the lines that the template makes.
sub facts {
    my %state = deploy();
    my %charts = charts();
    for my $name (sort keys %state) {
        my ($addon) = $name =~ /^([^.]+)/;
        print join("\t", "Addon", "kube-system", $addon, $state{$name}[0]), "\n";
    }
    for my $chart (sort keys %charts) {
        print join("\t", "HelmChart", "kube-system", $chart, $charts{$chart} ? "helm-install-$chart" : "", ""), "\n";
        print join("\t", "Job", "kube-system", "helm-install-$chart", 1), "\n" if $charts{$chart};
    }
    print "end\n";
}

if (@ARGV && $ARGV[0] eq "get" && grep { m{go-template-file=.*/stack-facts\.gotemplate$} } @ARGV) {
    facts();
} elsif (@ARGV && $ARGV[0] eq "apply") {
    my ($file) = grep { -f } @ARGV;
    my $text = content($file // "") // die "STAND-IN for kubectl: nothing to apply\n";
    my ($name) = $text =~ /"kind":"ConfigMap".*?"name":"([^"]+)"/ or die "STAND-IN for kubectl: only ConfigMaps in JSON are applied\n";
    store("$applied/$name.json", $text);
} elsif (@ARGV && $ARGV[0] eq "stand-in-secrets") {
    my %state = state();
    print map { "$_\n" } grep { m{^Secret/} } map { my (undef, @objects) = @$_; @objects } values %state;
} elsif (@ARGV) {
    die "STAND-IN for kubectl: @ARGV is not known\n";
}
1;
PERL
    cat >$run/server.pl <<'PERL'
# STAND-IN for a k3s server: TLS by `openssl s_server`, one for each connection; what it answers is made here.
use strict;
use warnings;
use Socket qw(SOMAXCONN);
use IO::Socket::IP;
use IO::Socket::UNIX;
use IO::Select;
use POSIX ();

my $run = $ENV{STAND_IN_RUN} // "/run/k3s-stand-in";
my $lib = $ENV{STAND_IN_LIB} // "/var/lib/rancher/k3s";
my $nodes = "$lib/server/stand-in-nodes";
my $begun = time;
# As long as a real node may be silent.
my $silence = 90;
$SIG{CHLD} = "IGNORE";
$SIG{PIPE} = "IGNORE";

@ARGV = ();
require "$run/deploy.pl";
sub json { my ($s) = @_; $s =~ s/([\\"])/\\$1/g; $s =~ s/([\x00-\x1f])/sprintf "\\u%04x", ord $1/ge; "\"$s\"" }
sub stamp { my @t = gmtime $_[0]; sprintf "%04d-%02d-%02dT%02d:%02d:%02dZ", $t[5] + 1900, $t[4] + 1, @t[3, 2, 1, 0] }
sub list { my ($api, $kind, @items) = @_; qq({"kind":"$kind","apiVersion":"$api","metadata":{},"items":[) . join(",", @items) . "]}" }

# A name belongs to the first who takes it, as k3s has it.
sub register {
    my ($name, $password, $role) = @_;
    return (400, "the node has no good name") unless $name =~ /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/;
    return (400, "the node has no password") unless length $password;
    my $old = content("$nodes/$name");
    if (defined $old && (split /\n/, $old)[0] ne $password) {
        return (403, "Node password rejected, duplicate hostname or contents of '/etc/rancher/node/password' may not match server node-passwd entry");
    }
    open my $f, ">", "$nodes/$name.$$" or return (500, "$!");
    print $f "$password\n$role\n" . time . "\n";
    close $f;
    rename "$nodes/$name.$$", "$nodes/$name" or return (500, "$!");
    return (200, "registered");
}

sub node_items {
    map {
        my ($password, $role, $seen) = split /\n/, content($_) // "";
        my ($name) = m{([^/]+)$};
        # What came before this server's start says nothing about now.
        my $ready = $seen >= $begun && time - $seen < $silence ? "True" : "Unknown";
        my $labels = $role eq "server" ? '"node-role.kubernetes.io/control-plane":"true"' : "";
        sprintf '{"metadata":{"name":%s,"labels":{%s},"annotations":{"stand-in":"no kubelet runs there"}},"status":{"conditions":[{"type":"Ready","status":"%s",'
            . '"reason":"StandIn","message":"last heard at %s","lastHeartbeatTime":"%s","lastTransitionTime":"%s"}],'
            . '"nodeInfo":{"kubeletVersion":"v0.0.0+stand-in"},"addresses":[{"type":"Hostname","address":%s}]}}',
            json($name), $labels, $ready, stamp($seen), stamp($seen), stamp($seen), json($name);
    } grep { !/\.\d+$/ } glob "$nodes/*";
}

# One AddOn for each manifest that was applied, named as k3s names it.
sub addon_items {
    my %state = deploy();
    map {
        my ($name) = /^([^.]+)/;
        sprintf '{"metadata":{"name":%s,"namespace":"kube-system"},"spec":{"source":%s,"checksum":"%s"},"status":{}}',
            json($name), json("$lib/server/manifests/$_"), $state{$_}[0];
    } sort keys %state;
}

sub chart_items {
    my %charts = charts();
    map { sprintf '{"metadata":{"name":%s,"namespace":"kube-system"},"spec":{},"status":{"jobName":%s}}', json($_), json("helm-install-$_") } sort keys %charts;
}

sub job_items {
    my %charts = charts();
    map {
        sprintf '{"metadata":{"name":%s,"namespace":"kube-system","labels":{"helmcharts.helm.cattle.io/chart":%s},"annotations":{"stand-in":"nothing was installed"}},'
            . '"spec":{"completions":1},"status":{"succeeded":1,"conditions":[{"type":"Complete","status":"True"}]}}',
            json("helm-install-$_"), json($_);
    } grep { $charts{$_} } sort keys %charts;
}

sub answer {
    my ($path, $headers, $peer) = @_;
    return (200, "pong", "text/plain") if $path eq "/ping";
    return (200, content("$lib/server/tls/server-ca.crt"), "text/plain") if $path eq "/cacerts";
    if ($path eq "/v1-k3s/serving-kubelet.crt") {
        my ($basic) = ($headers->{authorization} // "") =~ /^Basic (\S+)$/;
        my ($user, $password) = split /:/, unpack("u", join "", map { my $s = $_; $s =~ tr{A-Za-z0-9+/}{ -_}; chr(32 + length($s) * 3 / 4) . "$s\n" }
            ($basic // "") =~ s/=+$//r =~ /(.{1,60})/g), 2;
        my $known = defined $password && ($user eq "node" && $password eq $ENV{AGENT_TOKEN} || $user eq "server" && $password eq $ENV{SERVER_TOKEN});
        return (401, "not authorized: the token is not this server's", "text/plain") unless $known;
        my ($code, $text) = register($headers->{"k3s-node-name"} // "", $headers->{"k3s-node-password"} // "", $user eq "server" ? "server" : "agent");
        return ($code, $text, "text/plain");
    }
    return (401, '{"kind":"Status","status":"Failure","reason":"Unauthorized","code":401}', "application/json") unless $peer;
    return (200, "ok", "text/plain") if $path =~ m{^/(readyz|livez|healthz)$};
    return (200, '{"major":"0","minor":"0","gitVersion":"v0.0.0+stand-in"}', "application/json") if $path eq "/version";
    my %lists = (
        "/api/v1/nodes" => sub { list("v1", "NodeList", node_items()) },
        "/api/v1/events" => sub { list("v1", "EventList") },
        "/apis/k3s.cattle.io/v1/addons" => sub { list("k3s.cattle.io/v1", "AddonList", addon_items()) },
        "/apis/helm.cattle.io/v1/helmcharts" => sub { list("helm.cattle.io/v1", "HelmChartList", chart_items()) },
        "/apis/batch/v1/jobs" => sub { list("batch/v1", "JobList", job_items()) },
    );
    my $list = $lists{$path =~ s{/namespaces/[^/]+}{}r};
    return (200, $list->(), "application/json") if $list;
    return (404, '{"kind":"Status","status":"Failure","reason":"NotFound","code":404}', "application/json");
}

# One connection: TLS is s_server's, which shows who the client is on its standard error.
sub serve {
    my ($client) = @_;
    # The heartbeat is not this process's to end.
    $SIG{CHLD} = $SIG{TERM} = "DEFAULT";
    # Short: s_server of OpenSSL 3.5 ends when a socket's name has more than 31 bytes.
    my $at = "$run/$$";
    pipe my $from_tls, my $out or die "pipe: $!";
    pipe my $in, my $to_tls or die "pipe: $!";
    my $tls = fork // die "fork: $!";
    if (!$tls) {
        open STDIN, "<&", $in;
        open STDOUT, ">&", $out;
        open STDERR, ">", "$at.log";
        close $_ for $in, $out, $from_tls, $to_tls, $client;
        exec qw(openssl s_server -brief -naccept 1 -unix), $at, "-cert", "$run/serving.crt", "-key", "$run/serving.key",
            "-cert_chain", "$lib/server/tls/server-ca.crt", "-CAfile", "$lib/server/tls/client-ca.crt", qw(-verify 1 -verify_return_error);
        die "exec: $!";
    }
    close $in;
    close $out;
    my ($inner, $patience) = (undef, time + 60);
    until ($inner = IO::Socket::UNIX->new(Peer => $at)) {
        if (time > $patience || waitpid($tls, POSIX::WNOHANG()) == $tls) {
            print STDERR "STAND-IN for k3s: s_server did not start: ", content("$at.log") // "", "\n";
            kill "TERM", $tls;
            exit 1;
        }
        select undef, undef, undef, 0.02;
    }
    my $pump = fork // die "fork: $!";
    if (!$pump) {
        close $_ for $from_tls, $to_tls;
        my $both = IO::Select->new($client, $inner);
        PUMP: while (my @ready = $both->can_read(60)) {
            for my $one (@ready) {
                my $count = sysread $one, my $bytes, 65536;
                last PUMP unless $count;
                my $other = $one == $client ? $inner : $client;
                while (length $bytes) { my $n = syswrite $other, $bytes or last PUMP; substr $bytes, 0, $n, "" }
            }
        }
        exit 0;
    }
    close $inner;
    close $client;
    my $request = "";
    local $SIG{ALRM} = sub { kill "TERM", $tls, $pump };
    alarm 60;
    1 while $request !~ /\r\n\r\n/ && length $request < 65536 && sysread $from_tls, $request, 4096, length $request;
    if ($request =~ m{^GET ([^ ?]+)\S* HTTP/1\.[01]\r\n(.*?)\r\n\r\n}s || $request =~ m{^GET ([^ ?]+)\S* HTTP/1\.[01]\r\n()\r\n}s) {
        my ($path, %headers) = ($1, map { /^([^:]+):\s*(.*?)\s*$/ ? (lc $1, $2) : () } split /\r\n/, $2);
        my $who = content("$at.log") // "";
        my $peer = $who =~ /^Peer certificate: (.*)$/m && $who =~ /^Verification: OK$/m;
        my ($code, $body, $type) = answer($path, \%headers, $peer);
        my %words = (200 => "OK", 400 => "Bad Request", 401 => "Unauthorized", 403 => "Forbidden", 404 => "Not Found", 500 => "Internal Server Error");
        syswrite $to_tls, "HTTP/1.1 $code $words{$code}\r\nContent-Type: $type\r\nContent-Length: " . length($body) . "\r\nConnection: close\r\n\r\n$body";
        print STDERR "STAND-IN for k3s: $path: $code\n" if $code != 200 || $path !~ m{^/(ping|v1-k3s/)};
        # At the end of its input s_server sends what it has and closes; then the pump ends too. s_client waits for that, and a
        # client that has gone is not waited for.
        close $to_tls;
        alarm 5;
    } else {
        kill "TERM", $tls, $pump;
    }
    waitpid $_, 0 for $tls, $pump;
    alarm 0;
    unlink $at, "$at.log";
    exit 0;
}

unlink glob "$run/[0-9]*";
my $listener = IO::Socket::IP->new(LocalHost => "::", LocalPort => $ENV{STAND_IN_PORT} // 6443, V6Only => 0, Listen => SOMAXCONN, ReuseAddr => 1)
    or die "cannot listen: $@\n";
register($ENV{NODE_NAME}, $ENV{NODE_PASSWORD}, "server");
my $heartbeat = fork // die "fork: $!";
if (!$heartbeat) {
    close $listener;
    while (getppid != 1) { sleep 10; register($ENV{NODE_NAME}, $ENV{NODE_PASSWORD}, "server") }
    exit 0;
}
$SIG{TERM} = sub { kill "TERM", $heartbeat; exit 0 };
while (1) {
    my $client = $listener->accept or next;
    my $child = fork // die "fork: $!";
    serve($client) unless $child;
    close $client;
}
PERL
    NODE_NAME=$name NODE_PASSWORD=$password AGENT_TOKEN=$(cat $etc/agent-token) SERVER_TOKEN=${token##*:} \
        perl $run/server.pl &
    server=$!
    trap 'kill $server 2>/dev/null || true' EXIT
    trap 'exit 0' TERM INT
    cp $tls/server-ca.crt $run/ca.crt
    tries=0
    until request localhost /ping $run/ca.crt && grep -qx pong $run/body; do
        kill -0 $server 2>/dev/null || give_up "the server ended"
        tries=$((tries + 1))
        [ $tries -lt 20 ] || give_up "the server does not answer: $(tail -n 3 $run/answer.log)"
        sleep 1
    done
    say "serving on port $port as $names"
    systemd-notify --ready
    wait $server
    exit 1
fi

# A further server: registered, no database of its own.
systemd-notify --ready
while :; do
    sleep 20
    register "$host" "$user:${token##*:}" || say "no heartbeat: $(head -n 1 $run/answer)"
done
