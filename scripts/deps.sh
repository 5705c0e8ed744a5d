#!/bin/sh
# Installs what the named jobs need and the machine lacks, with apt-get.
#
#   scripts/deps.sh demo    a RabbitMQ server
#   scripts/deps.sh test    that, compilers for filters in C, Rust and
#                           AssemblyScript, WebAssembly tools, oslo.messaging,
#                           AMQP clients of Python and Node.js, what checks
#                           a systemd unit and manual pages
#
# Installing rabbitmq-server on Debian starts a broker on port 5672 for the
# whole machine; this script keeps it from starting.
set -eu

lacking=
need() { # package, command that succeeds when it is there
	package=$1
	shift
	"$@" >/dev/null 2>&1 || lacking="$lacking $package"
}
tool() { command -v "$1" || test -x "/usr/lib/rabbitmq/bin/$1"; }

has_wasm_std() { test -d "$(/usr/bin/rustc --print target-libdir --target wasm32-unknown-unknown)"; }

# From npm come AssemblyScript's compiler, of which 0.27 is the last that runs on
# the Node.js 18 of Debian 12, and an AMQP client.
npm=
node() { # package with version, command that succeeds when it is there
	package=$1
	shift
	"$@" >/dev/null 2>&1 && return
	npm="${npm:-npm install --global --no-fund --no-audit --no-update-notifier} $package"
}
has_module() { test -d "$(npm root --global)/$1"; }

broker() { need rabbitmq-server tool rabbitmq-server; }
compilers() {
	need gcc tool gcc # the race detector links with it
	need libc6-dev test -e /usr/include/stdlib.h
	need clang tool clang
	need lld tool wasm-ld
	need wabt tool wat2wasm
	need rustc test -x /usr/bin/rustc
	need libstd-rust-dev-wasm32 has_wasm_std
	need nodejs tool node
	need npm tool npm
	node assemblyscript@0.27.37 tool asc
	node amqplib@0.10.9 has_module amqplib
	need python3-oslo.messaging /usr/bin/python3 -c 'import oslo_messaging'
	need curl tool curl # the quick start uses it
	need systemd tool systemd-analyze # checks the unit file
	need man-db tool man # reads the manual pages
	need python3-pika /usr/bin/python3 -c 'import pika'
}
browser() { need chromium tool chromium; } # for the console's pages
for job in "$@"; do
	case $job in
	demo) broker ;;
	test) broker && compilers && browser ;;
	*)
		echo "deps.sh: unknown job $job; the jobs are demo and test" >&2
		exit 1
		;;
	esac
done
test -n "$lacking$npm" || exit 0

if ! command -v apt-get >/dev/null; then
	echo "deps.sh: please install:$lacking (the names are Debian's)${npm:+; then run: $npm}" >&2
	exit 1
fi
root=
if [ "$(id -u)" != 0 ]; then
	command -v sudo >/dev/null || {
		echo "deps.sh: as root, run: apt-get install --no-install-recommends$lacking${npm:+; $npm}" >&2
		exit 1
	}
	root=sudo
fi

packages() {
	# Package scripts ask policy-rc.d whether they may start a service; 101 is no.
	policy=/usr/sbin/policy-rc.d
	if ! [ -e $policy ]; then
		trap '$root rm -f $policy' EXIT
		trap 'exit 1' HUP INT TERM
		printf '#!/bin/sh\nexit 101\n' | $root tee $policy >/dev/null
		$root chmod 755 $policy
	fi
	echo "installing$lacking"
	$root apt-get update -q
	# shellcheck disable=SC2086
	$root env DEBIAN_FRONTEND=noninteractive apt-get install -q -y --no-install-recommends $lacking
}

test -z "$lacking" || packages
test -z "$npm" || $root $npm
