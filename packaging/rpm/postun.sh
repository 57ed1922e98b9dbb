# After files were removed; $1: how many versions stay: 1 after an upgrade. Who runs gets the new program;
# the programs in the kernel go on meanwhile.
if [ "$1" -eq 0 ]; then
    # They are nobody's when they are empty.
    rmdir /etc/prroute/conf.d /etc/prroute 2>/dev/null || :
fi
[ -d /run/systemd/system ] || exit 0
systemctl daemon-reload || :
if [ "$1" -ge 1 ]; then
    systemctl try-restart prroute.service prroute-exporter.service || :
fi
