#!/usr/bin/env bash
# Certificates and a client key for trying things out, with openssl alone.
#   certificates.sh FOLDER [NAME|ADDRESS...]     default: localhost 127.0.0.1
#
#   ca.pem, ca.key          an authority of this folder; kept when it is there already
#   server.pem, server.key  the chain and the key that transmitter, receiver and proxy serve with
#   client.pem              a P-256 key for private_key_jwt; kept when it is there already
set -euo pipefail
[ $# -ge 1 ] || { sed -n '2,7s/^# \{0,1\}//p' "$0" >&2; exit 2; }
folder=$1
shift
[ $# -gt 0 ] || set -- localhost 127.0.0.1
umask 077
mkdir -p "$folder"
cd "$folder"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

alternatives=
for name in "$@"; do
  case $name in
    *[!0-9.]*) kind=DNS ;;
    *) kind=IP ;;
  esac
  [[ $name == *:* ]] && kind=IP
  alternatives+=${alternatives:+,}$kind:$name
done

# Every run of this script makes a new leaf; whoever trusts the authority goes on trusting.
if [ ! -s ca.pem ] || [ ! -s ca.key ]; then
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -keyout ca.key -out ca.pem \
    -subj "/CN=Mission Signals interop kit" -addext "basicConstraints=critical,CA:TRUE,pathlen:0" \
    -addext "keyUsage=critical,keyCertSign,cRLSign" 2>/dev/null
fi
openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout server.key -out "$work/server.csr" \
  -subj "/CN=interop" 2>/dev/null
cat >"$work/leaf.cnf" <<LEAF
basicConstraints = critical, CA:FALSE
keyUsage = critical, digitalSignature
extendedKeyUsage = serverAuth
subjectAltName = $alternatives
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
LEAF
openssl x509 -req -in "$work/server.csr" -CA ca.pem -CAkey ca.key -CAcreateserial -CAserial "$work/ca.srl" \
  -days 365 -sha256 -extfile "$work/leaf.cnf" -out "$work/leaf.pem" 2>/dev/null
cat "$work/leaf.pem" ca.pem >server.pem
[ -s client.pem ] ||
  openssl genpkey -algorithm EC -pkeyopt ec_paramgen_curve:P-256 -out client.pem 2>/dev/null
chmod 644 ca.pem server.pem
