# A light machine: what a machine is after `make site`, with another machine's Docker engine in place of its own.
# See machines.py, which makes it from a machine that stopped there.
ARG READY
FROM ${READY}
# The unit keeps its name, so that the roles find what they look for. The other engine's socket is on the volume that
# all machines of a local fleet share; the bridge is there for the kernel's setting that role swarm sees to.
# Backups are the first machine's.
RUN rm -f /etc/ssh/ssh_host_* \
    && systemctl mask docker.socket containerd.service \
    && systemctl disable beanft-backup.timer beanft-backup-age.timer \
    && printf '%s\n' '[Service]' 'Type=oneshot' 'RemainAfterExit=yes' \
        'ExecStart=ln -sfn /srv/backup/docker.sock /run/docker.sock' \
        'ExecStart=-ip link add docker_gwbridge type bridge' \
        '[Install]' 'WantedBy=multi-user.target' >/etc/systemd/system/docker.service
LABEL beanft="image"
