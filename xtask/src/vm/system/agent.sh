# Runs the test programs of `cases` one after the other, and tells the host on a port of its own
# what they print. Its own lines begin with "vm: "; the last one says how many programs failed.

. /run/guest/environment
for port in /sys/class/virtio-ports/*; do
    [ "$(cat "$port/name")" = prroute ] && exec > "/dev/${port##*/}" 2>&1
done
echo "vm: $(uname -r) with systemd is up after $(cut -d. -f1 /proc/uptime) s"
mkdir -p "$TMPDIR"
# The routers of the lab set these up.
for module in nf_conntrack nf_tables br_netfilter; do
    modprobe "$module" || echo "vm: no module $module"
done
# A boot after the first one begins with what is on the disk.
if ! dpkg-query --show prroute > /dev/null 2>&1; then
    dpkg --install "$PRROUTE_DEB" || echo "vm: cannot install $PRROUTE_DEB"
fi

failed=0
while IFS='	' read -r name program arguments <&3; do
    echo "vm: case $name $arguments"
    since=$(date '+%Y-%m-%d %H:%M:%S')
    cd "/host$DIRECTORY"
    # The arguments are names of tests: words.
    if ! "/host$program" $arguments < /dev/null 3<&-; then
        failed=$((failed + 1))
        echo "vm: the journal during $name"
        journalctl --boot --since "$since" --output short-precise --no-pager | tail -n 400
    fi
done 3< /run/guest/cases
sync
echo "vm: end, $failed failed"
systemctl poweroff
