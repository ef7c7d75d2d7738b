#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Render nginx.conf from the environment, start nginx, and turn SIGTERM into a graceful end.
# Every value is checked: what reaches the configuration cannot be more than a value.
set -eu

home=$(cd "$(dirname "$0")" && pwd)
template=$home/nginx.conf.template

fail() {
    echo "{\"log\":\"router\",\"level\":\"error\",\"event\":\"bad-setting\",\"message\":\"$1\"}" >&2
    exit 64
}

number() { # NAME DEFAULT: MT5_ROUTER_<NAME> must be digits
    eval "value=\${MT5_ROUTER_$1:-$2}"
    case $value in '' | *[!0-9]*) fail "MT5_ROUTER_$1 must be a whole number, is '$value'" ;; esac
    replace "$1" "$value"
}

word() { # NAME DEFAULT ALLOWED: MT5_ROUTER_<NAME> must be made of these characters
    eval "value=\${MT5_ROUTER_$1:-$2}"
    case $value in *[!$3]*) fail "MT5_ROUTER_$1 has a character that is not allowed: '$value'" ;; esac
    replace "$1" "$value"
}

script=
replace() { script="$script
s|@$1@|$2|g"; }

resolver() { # nginx asks these servers for the address of Redis
    servers=
    while read -r key value _; do
        [ "$key" = nameserver ] || continue
        case $value in *:*) value="[${value%%%*}]" ;; esac
        servers="$servers $value"
    done <"${MT5_ROUTER_RESOLV_CONF:-/etc/resolv.conf}"
    [ -z "$servers" ] || echo "resolver$servers valid=10s; resolver_timeout 2s;"
}

real_ip() { # PROXIES HEADER: these proxies may say in this header whose request it is
    [ -n "$1" ] || return 0
    for proxy in $(echo "$1" | tr ',' ' '); do
        echo "set_real_ip_from $proxy; "
    done | tr -d '\n'
    echo "real_ip_header $2; real_ip_recursive on;"
}

number PORT 8080
number OPS_PORT 8081
number WORKERS 2
number WORKER_CONNECTIONS 8192
worker_connections=$value
number TABLE_BYTES 16777216
number MAX_BODY_BYTES 65536
number MAX_HEADER_BYTES 8192
number HEADER_TIMEOUT_S 10
number BODY_TIMEOUT_S 30
number SEND_TIMEOUT_S 30
number CLIENT_KEEPALIVE_TIMEOUT_S 75
number CONNECT_TIMEOUT_MS 2000
number READ_TIMEOUT_S 60
number SOCKET_IDLE_TIMEOUT_S 300
number KEEPALIVE_CONNECTIONS 256
number KEEPALIVE_TIMEOUT_S 30
number DRAIN_TIMEOUT_S 30
number CLIENT_REQUESTS_PER_S 500
number CLIENT_REQUEST_BURST 1000
number CLIENT_REQUESTS_AT_ONCE 256
number LARGE_REQUESTS_AT_ONCE 256
number CLIENT_UNKNOWN_PER_S 20
number CLIENT_UNKNOWN_BURST 200
number CLIENT_TABLE_BYTES 8388608
word TRUSTED_PROXIES '' '0-9a-fA-F:./, '
trusted=$value
word REAL_IP_HEADER X-Forwarded-For 'A-Za-z0-9-'
replace REAL_IP "$(real_ip "$trusted" "$value")"
word BIND_ADDRESS 0.0.0.0 '][0-9a-fA-F:.'
word RUN_DIR /tmp/mt5-router '/A-Za-z0-9._-'
run_dir=$value
word REDIS_CA_FILE '' '/A-Za-z0-9._-'
replace REDIS_TRUST "${value:+lua_ssl_trusted_certificate $value; lua_ssl_verify_depth 5;}"
replace RESOLVER "$(resolver)"
replace HOME "$home"

MT5_ROUTER_RESOLVER_SEARCH=$(sed -n 's/^search[[:space:]]*//p' "${MT5_ROUTER_RESOLV_CONF:-/etc/resolv.conf}" | tail -n 1)
export MT5_ROUTER_RESOLVER_SEARCH

mkdir -p "$run_dir"
# As many open sockets as we are allowed; 1,024, which many systems begin with, would be used up
# by 500 WebSockets. Too few are told, since nginx itself would say so where nobody looks.
ulimit -n "$(ulimit -Hn)" 2>/dev/null || true
open_files=$(ulimit -n)
if [ "$open_files" != unlimited ] && [ "$open_files" -lt $((worker_connections + 64)) ]; then
    echo "{\"log\":\"router\",\"level\":\"warning\",\"event\":\"few-open-files\",\"message\":\"$open_files files may be open, too few for $worker_connections connections for each worker: raise the runtime's limit (nofile), or lower MT5_ROUTER_WORKER_CONNECTIONS\"}" >&2
fi

# nginx opens its log by name. Not every container runtime hands us a standard output that may be
# opened again; then a pipe of our own and `cat` lie between.
access_log=/dev/stdout
if ! (: >>/dev/stdout) 2>/dev/null; then
    access_log=$run_dir/access.pipe
    [ -p "$access_log" ] || mkfifo "$access_log"
    cat "$access_log" &
fi
replace ACCESS_LOG "$access_log"

sed "$script" "$template" >"$run_dir/nginx.conf"

# nginx drops everything at once on SIGTERM and drains on SIGQUIT; whoever stops us may use either.
nginx -e stderr -p "$run_dir" -c "$run_dir/nginx.conf" &
pid=$!
trap 'kill -QUIT $pid 2>/dev/null || true' TERM QUIT INT
status=0
wait "$pid" || status=$?
# A trapped signal ends `wait` early, with a status above 128, while nginx is still draining.
while kill -0 "$pid" 2>/dev/null; do
    status=0
    wait "$pid" || status=$?
done
exit "$status"
