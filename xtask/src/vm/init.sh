#!/bin/busybox sh
# The guest's first process: shows it the host's files, read-only, below a file system in memory
# that takes what is written, and goes over to that.
b=/bin/busybox
fail() {
    echo "init: $*"
    $b poweroff -f
}
$b mount -t devtmpfs dev /dev || fail "mount /dev"
while read -r module; do
    $b insmod "/modules/$module" || fail "load $module"
done < /modules/order
$b mount -t 9p -o ro,trans=virtio,version=9p2000.L,msize=524288,cache=loose host /host ||
    fail "mount the host's files"
$b mount -t tmpfs -o size=80% memory /memory || fail "mount a tmpfs"
$b mkdir /memory/upper /memory/work
. /guest/environment
$b mount -t overlay -o lowerdir="$FILES",upperdir=/memory/upper,workdir=/memory/work root /root ||
    fail "mount the overlay"
# Files of another architecture lie apart, and the project not among them.
[ "$FILES" = /host/ ] || $b mount --bind "/host$PROJECT" "/root$PROJECT" ||
    fail "mount the project"
$b mount -t proc proc /root/proc || fail "mount /proc"
$b mount -t sysfs sys /root/sys || fail "mount /sys"
$b mount -t tmpfs run /root/run || fail "mount /run"
$b mount --move /dev /root/dev || fail "move /dev"
$b cp -r /guest /root/run/guest || fail "copy the guest's script"
exec $b switch_root /root /bin/sh /run/guest/guest.sh
