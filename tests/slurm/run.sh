#!/usr/bin/env bash
# Runs two small experiments through the Slurm profile, on a real Slurm of this one machine, and
# again without Slurm: all tables must be equal. At the end everything is stopped and removed, but
# for Debian's packages.
set -euo pipefail

refuse() {
  echo "test-slurm: $1" >&2
  exit 1
}
[ "$(id -u)" = 0 ] || refuse "it starts Slurm's daemons, so it must run as root."
[ -e /etc/debian_version ] || refuse "it installs Slurm from Debian's packages, so it must run on Debian."
[ ! -e /etc/slurm/slurm.conf ] \
  || refuse "/etc/slurm/slurm.conf exists, and a Slurm that is set up already is left alone."

project=$(cd "$(dirname "$0")/../.." && pwd)
folder=$(mktemp -d)
export TMPDIR=$folder
runner= # the running Snakemake's process group

# Ends the process of a pid file: kindly, and after ten seconds by force.
stop() {
  local pid
  pid=$(cat "$1" 2>/dev/null) || return 0
  kill "$pid" 2>/dev/null || return 0
  for _ in $(seq 100); do
    kill -0 "$pid" 2>/dev/null || return 0
    sleep 0.1
  done
  kill -KILL "$pid" 2>/dev/null || true
}

finish() {
  status=$?
  trap - EXIT INT TERM
  if [ $status -ne 0 ]; then
    tail -n 20 "$folder"/*.log || true
  fi
  timeout 20 scancel --user root 2>/dev/null || true
  if [ -n "$runner" ]; then
    kill -KILL -- "-$runner" 2>/dev/null || true
  fi
  for daemon in slurmd slurmctld munged; do
    stop "$folder/$daemon.pid"
  done
  rm -f /etc/slurm/slurm.conf
  rm -rf "$folder"
  exit $status
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

install_slurm() {
  local packages=(slurmctld slurmd slurm-client munge)
  if ! dpkg --status "${packages[@]}" >/dev/null 2>&1; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get -qq update
    apt-get -qq install --no-install-recommends "${packages[@]}" >/dev/null
  fi
}

start_slurm() {
  mkdir -p "$folder/state" "$folder/spool" /etc/slurm
  chmod 755 "$folder"
  # One that runs already, as Debian starts it where there is an init system, stays.
  if ! munge --no-input >/dev/null 2>&1; then
    install -d -o munge -g munge -m 755 /run/munge
    install -o munge -m 644 /dev/null "$folder/munged.pid"
    runuser -u munge -- munged --pid-file "$folder/munged.pid"
  fi
  local CPUs RealMemory
  eval "$(slurmd -C | grep -o 'CPUs=[0-9]*\|RealMemory=[0-9]*')"
  sed "s|@HOST@|$(hostname -s)|; s|@FOLDER@|$folder|; s|@CPUS@|$CPUs|; s|@MEMORY@|$RealMemory|" \
    "$project/tests/slurm/slurm.conf" >/etc/slurm/slurm.conf
  slurmctld
  slurmd
  for _ in $(seq 60); do
    sinfo --noheader --format %t 2>/dev/null | grep -q idle && return
    sleep 1
  done
  refuse "Slurm's node did not come up within a minute."
}

# A copy of the project, so that the user's results are neither touched nor locked.
checkout() {
  mkdir "$1"
  cp -r "$project"/{Snakefile,config,profiles,workflow,scripts,src} "$1"
  cat >"$1/small.yaml" <<END
scale: quick
experiments: [contraction, condition_study]
cells_per_job: 1
overrides: ["experiment.methods=[sgd,kfac]", "seeds=2", "steps=20", "task.d_x=20", "task.batch_size=64"]
END
}

run() {
  cd "$1"
  shift
  # In the background, since the traps wait for what runs in the foreground.
  PYTHONPATH=$PWD/src timeout 1200 snakemake --configfile small.yaml --quiet rules "$@" &
  runner=$!
  wait "$runner"
  runner=
  cd "$project"
}

install_slurm
start_slurm
checkout "$folder/on slurm"
checkout "$folder/local"
run "$folder/on slurm" --profile workflow/profiles/slurm \
  --slurm-init-seconds-before-status-checks 5 --latency-wait 10
echo "Slurm ran $(squeue --states=COMPLETED --noheader | wc -l) jobs."
run "$folder/local" --cores 2
python tests/slurm/compare.py "$folder/on slurm" "$folder/local"
