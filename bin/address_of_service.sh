#!/bin/sh
# Runs on a machine as root: sh -s SERVICE prints the address by which the machine reaches the service's container, that
# on Docker's bridge for the Swarm. It changes with every container.
set -eu
container=$(docker ps --quiet --filter "label=com.docker.swarm.service.name=$1" | head -n 1)
[ -n "$container" ]
sandbox=$(docker inspect --format '{{.NetworkSettings.SandboxKey}}' "$container")
docker network inspect --format '{{range .Containers}}{{.Name}} {{.IPv4Address}}{{println}}{{end}}' docker_gwbridge |
  awk -v name="gateway_${sandbox##*/}" '$1 == name {sub("/.*", "", $2); print $2; found = 1} END {exit !found}'
