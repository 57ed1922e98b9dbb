#!/bin/busybox sh
# The first process of a guest that boots systemd: mounts the disk, shows it the host's files
# read-only below /host, and hands over to the system on it.
b=/bin/busybox
fail() {
    echo "init: $*"
    $b poweroff -f
}
. /guest/environment
$b mount -t devtmpfs dev /dev || fail "mount /dev"
while read -r module; do
    $b insmod "/modules/$module" || fail "load $module"
done < /modules/order
# Disks are found in the background.
tries=0
until [ -b /dev/vda ]; do
    tries=$((tries + 1))
    [ "$tries" -le 600 ] || fail "there is no disk"
    $b sleep 0.1
done
$b mount -t ext4 -o rw /dev/vda /root || fail "mount the disk"
$b mount -t 9p -o ro,trans=virtio,version=9p2000.L,msize=524288,cache=loose host /root/host ||
    fail "mount the host's files"
$b mount --bind "/root/host$MODULES" /root/usr/lib/modules || fail "bind the kernel's modules"
$b mount -t tmpfs -o mode=755 run /root/run || fail "mount /run"
$b cp -r /guest /root/run/guest || fail "copy the guest's script"
units=/root/run/systemd/system
$b mkdir -p "$units/multi-user.target.wants" /root/run/systemd/system.conf.d
$b cp /guest/prroute-guest.service "$units/" || fail "copy the guest's unit"
$b ln -s ../prroute-guest.service "$units/multi-user.target.wants/"
$b cp /guest/guest.conf /root/run/systemd/system.conf.d/ || fail "copy systemd's settings"
$b mount --move /dev /root/dev || fail "move /dev"
exec $b switch_root /root /sbin/init
