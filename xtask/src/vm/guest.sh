# The guest's first process once it has the host's files: runs the test programs of `cases` one
# after the other, and tells the host on a port of its own what they print. Its own lines begin
# with "vm: "; the last one says how many programs failed.

. /run/guest/environment
mkdir -p /lib/modules /dev/pts /dev/shm "$TMPDIR"
mount --bind "$MODULES" /lib/modules
# Ports have no other name before there is a udev.
modprobe -q virtio_console
for port in /sys/class/virtio-ports/*; do
    [ "$(cat "$port/name")" = prroute ] && exec > "/dev/${port##*/}" 2>&1
done
echo "vm: $(uname -r) is up after $(cut -d. -f1 /proc/uptime) s"

mount -t devpts devpts /dev/pts
mount -t tmpfs shm /dev/shm
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t bpf bpf /sys/fs/bpf
ip link set lo up
# As prroute's unit: before Linux 5.11 maps count as locked memory.
ulimit -l unlimited
# What a host has loaded that has a packet filter, containers, a network card and a modem.
for module in nf_conntrack nf_tables br_netfilter virtio_net tun ppp_generic ppp_async; do
    modprobe "$module" || echo "vm: no module $module"
done

failed=0
while IFS='	' read -r name program arguments <&3; do
    echo "vm: case $name"
    dmesg --clear
    cd "$DIRECTORY"
    # The arguments are names of tests: words.
    if ! "$program" $arguments < /dev/null 3<&-; then
        failed=$((failed + 1))
        echo "vm: the kernel's log during $name"
        dmesg | tail -n 200
    fi
done 3< /run/guest/cases
echo "vm: end, $failed failed"
# What was written to the port must have left before the machine does.
sync
busybox poweroff -f
