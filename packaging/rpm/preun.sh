# Before the files are removed; $1: how many versions stay. The programs, rules and routes in the kernel
# go on working.
[ "$1" -eq 0 ] || exit 0
# What an instance left in the kernel is written down below /run, until the next boot. Nothing but the
# program can undo it, and rpm has no purge: a copy stays. First of all: a removal that fails here, as on a
# full disk, changes nothing.
set -- /run/prroute/*/
if [ -d "$1" ]; then
    if ! { mkdir -p /var/lib/prroute && install -m 755 /usr/bin/prroute /var/lib/prroute/undo; }; then
        rm -f /var/lib/prroute/undo
        echo "prroute: without a copy of it nothing could undo what it did: it is not removed" >&2
        exit 1
    fi
fi
if [ -d /run/systemd/system ]; then
    systemctl --no-reload disable --now prroute.service prroute-metrics.timer prroute-exporter.socket || :
    systemctl stop prroute-metrics.service prroute-exporter.service || :
fi
# Nobody writes it anew: it would say for ever that all is well.
rm -f /var/lib/prometheus/node-exporter/prroute.prom
if [ -d "$1" ]; then
    cat <<'EOF'
prroute: the network stays as it is. Until the next boot replies leave by the
right uplink, but nothing follows changes of the network. To undo everything:
EOF
    # One command for each instance. That of another network namespace names the command that runs there.
    for directory; do
        echo "  /var/lib/prroute/undo down --instance $(basename "$directory") &&"
    done
    echo "  rm -r /var/lib/prroute"
fi
