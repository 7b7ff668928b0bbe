#!/bin/sh
# Runs on a machine as root, from `make audit-hosts`: Lynis and OpenSCAP from Debian's packages, which go again.
# Writes a compressed archive of their results to stdout.
set -eu
exec 3>&1 1>&2
export DEBIAN_FRONTEND=noninteractive LC_ALL=C
work=$(mktemp -d /var/tmp/audit.XXXXXX)
installed() { dpkg-query --show --showformat '${db:Status-Abbrev} ${Package}\n' | sed -n 's/^ii  *//p' | sort; }
installed >"$work/before"
clean() {
  installed >"$work/after"
  # Exactly what was installed, among it e2fsprogs, which counts as essential where it is.
  comm -13 "$work/before" "$work/after" | xargs --no-run-if-empty apt-get purge -y -qq --allow-remove-essential >/dev/null
  rm -rf "$work"
}
trap clean EXIT
apt-get update -qq
apt-get install -y -qq --no-install-recommends lynis openscap-scanner ssg-debian >/dev/null

lynis audit system --quick --no-colors --quiet --logfile "$work/lynis.log" --report-file "$work/lynis.dat" || true
grep -q '^hardening_index=' "$work/lynis.dat"

# Debian's newest content, which may be for the release before: its rules are the same, and its test for the
# release is the one thing that would stop it.
content=$(find /usr/share/xml/scap/ssg/content -name 'ssg-debian*-ds.xml' | sort --version-sort | tail -n 1)
basename "$content" >"$work/content"
sed 's/\^1[0-9]\.\[0-9\]+\$/^[0-9]+.[0-9]+$/' "$content" >"$work/content.xml"
code=0
oscap xccdf eval --profile xccdf_org.ssgproject.content_profile_anssi_bp28_intermediary \
  --results "$work/openscap.xml" "$work/content.xml" >/dev/null 2>"$work/oscap.log" || code=$?
# 2: some rules failed.
case $code in 0 | 2) ;; *) cat "$work/oscap.log" && exit 1 ;; esac
tar --create --gzip --directory "$work" lynis.log lynis.dat openscap.xml content >&3
