# After the files are in place; $1: how many versions are installed now.
systemd-sysusers prroute.conf || :
rm -f /var/lib/prroute/undo
if [ -d /run/systemd/system ]; then
    systemctl daemon-reload || :
fi
if [ "$1" -eq 1 ]; then
    cat <<'EOF'
prroute.service is installed, and not started. To see what it would do, and to
start it now and at every boot:
  prroute plan
  systemctl enable --now prroute
EOF
fi
