#!/bin/sh
# sudo sh install.sh [FINGERPRINT]: EdgeMatte from this folder onto this device, without a network.
# FINGERPRINT is the key that the bundle must be signed by; without it you are shown the key and asked.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
home=${EDGEMATTE_ROOT:-/opt/edgematte}
say() { echo "edgematte: $*" >&2; }
refuse() { say "$*"; exit 1; }

[ -w "$(dirname "$home")" ] || refuse "$home cannot be written; start with: sudo sh $0"
for program in apt-get dpkg-deb gpg python3; do
  command -v "$program" >/dev/null || refuse "$program is missing; install it with: sudo apt install $program"
done

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export GNUPGHOME="$scratch"
found=$(gpg --batch --quiet --with-colons --show-keys "$here/keys.gpg" 2>/dev/null | awk -F: '/^fpr/ && !n++ { print $10 }')
if [ -f "$home/keys.gpg" ]; then
  say "this device has its keys already; they decide"
elif [ -n "${1:-}" ]; then
  gpg --batch --quiet --with-colons --show-keys "$here/keys.gpg" 2>/dev/null | grep -q "^fpr:::::::::$1:" ||
    refuse "the bundle's key is $found, you expected $1; nothing was installed"
else
  say "this bundle is signed by $found"
  printf 'Is this the key of your workstation? [y/N] ' >&2
  read -r answer
  [ "$answer" = y ] || refuse "nothing was installed"
fi

keys=$home/keys.gpg
if [ ! -f "$keys" ]; then
  keys=$scratch/keys.gpg
  cp "$here/keys.gpg" "$keys"
fi
mkdir -p "$scratch/lists/partial" "$scratch/cache/archives/partial" "$scratch/program"
: >"$scratch/status"
echo "deb [signed-by=$keys] copy:$(printf %s "$here" | sed 's/%/%25/g; s/ /%20/g') ./" >"$scratch/sources.list"
cat >"$scratch/apt.conf" <<END
Dir "$scratch";
Dir::State "$scratch";
Dir::State::status "$scratch/status";
Dir::Cache "$scratch/cache";
Dir::Etc::sourcelist "$scratch/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::parts "/dev/null";
Dir::Etc::main "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
APT::Sandbox::User "";
Apt::Key::gpgvcommand "$(command -v gpgv || :)";
Acquire::Check-Date "false";
Acquire::GzipIndexes "false";
Acquire::Languages "none";
END
apt() { APT_CONFIG=$scratch/apt.conf apt-get -qq "$@" >&2; }
apt update || refuse "$here is not signed by a key that this device trusts; nothing was installed"
package=$(cat "$scratch"/lists/*Packages | awk -v arch="$(dpkg --print-architecture)" '
  /^Package:/ { name = $2 } /^Architecture:/ { own = $2 == arch } /^Edgematte-Kind: program/ && own { print name; exit }')
[ -n "$package" ] || refuse "there is no program for $(dpkg --print-architecture) in $here"
(cd "$scratch" && apt download "$package") || refuse "$here was changed after it was signed; copy the bundle again"

# Only the part of the program that installs; it verifies everything again and does the rest.
dpkg-deb --fsys-tarfile "$scratch/$package"_*.deb |
  tar -x --warning=no-timestamp -C "$scratch/program" --wildcards './opt/edgematte/*/lib/edgematte'
if [ ! -f "$home/keys.gpg" ]; then
  mkdir -p "$home"
  cp "$keys" "$home/.keys.new"
  sync
  mv "$home/.keys.new" "$home/keys.gpg"
fi
PYTHONPATH=$(echo "$scratch"/program/opt/edgematte/*/lib) PYTHONDONTWRITEBYTECODE=1 \
  python3 -m edgematte.runtime.fleet.first "$here"
