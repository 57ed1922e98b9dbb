# Before the files are removed; $1: how many versions stay. The programs, rules and routes in the kernel
# go on working.
[ "$1" -eq 0 ] || exit 0
if [ -d /run/systemd/system ]; then
    systemctl --no-reload disable --now prroute.service prroute-metrics.timer prroute-exporter.socket || :
    systemctl stop prroute-metrics.service prroute-exporter.service || :
fi
# What an instance left in the kernel is written down below /run, until the next boot. Nothing but the
# program can undo it, and rpm has no purge: a copy stays.
set -- /run/prroute/*/
if [ -d "$1" ]; then
    mkdir -p /var/lib/prroute
    install -m 755 /usr/bin/prroute /var/lib/prroute/undo
    cat <<'EOF'
prroute: the network stays as it is. Until the next boot replies leave by the
right uplink, but nothing follows changes of the network. To undo everything:
  /var/lib/prroute/undo down && rm -r /var/lib/prroute
EOF
fi
