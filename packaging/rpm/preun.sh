# Before the files are removed; $1: how many versions stay. The programs, rules and routes in the kernel
# go on working.
[ "$1" -eq 0 ] || exit 0

# Instances that left something in the kernel: what it is is written down below /run, until the next boot or
# `systemctl clean`; their pins tell where that is gone.
instances() {
    for directory in /run/prroute/*/ /sys/fs/bpf/prroute/*/; do
        [ ! -d "$directory" ] || basename "$directory"
    done | grep -v '^netns:' | sort -u
}

# Nothing but the program can undo it, and rpm has no purge: a copy stays. First of all: a removal that fails
# here, as on a full disk, changes nothing.
left=$(instances)
if [ -n "$left" ]; then
    if ! { mkdir -p /var/lib/prroute && install -m 755 /usr/bin/prroute /var/lib/prroute/undo; }; then
        rm -f /var/lib/prroute/undo
        echo "prroute: without a copy of it nothing could undo what it did: it is not removed" >&2
        exit 1
    fi
fi
# The links that enable them go also where no systemd runs, as in an image.
systemctl --no-reload disable prroute.service prroute-metrics.timer prroute-exporter.socket || :
if [ -d /run/systemd/system ]; then
    systemctl stop prroute.service prroute-metrics.timer prroute-metrics.service \
        prroute-exporter.socket prroute-exporter.service || :
fi
# Nobody writes it anew: it would say for ever that all is well.
rm -f /var/lib/prometheus/node-exporter/prroute.prom
# `prroute setup networkd` wrote it, and `prroute down` leaves it.
drop_in=/etc/systemd/networkd.conf.d/50-prroute.conf
if [ -n "$left" ]; then
    cat <<'EOF'
prroute: the network stays as it is. Until the next boot replies leave by the
right uplink, but nothing follows changes of the network. To undo everything:
EOF
    # One command for each instance. That of another network namespace names the command that runs there.
    for instance in $left; do
        echo "  /var/lib/prroute/undo down --instance $instance &&"
    done
    [ ! -e "$drop_in" ] || echo "  rm $drop_in &&"
    echo "  rm -r /var/lib/prroute"
elif [ -e "$drop_in" ]; then
    cat <<EOF
prroute: systemd-networkd still keeps rules and routes of others, as it was told
for prroute. To undo that, from its next start on:
  rm $drop_in
EOF
fi
