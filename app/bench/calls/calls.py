"""A client or a server of the real oslo.messaging, for the benchmark: it does
what each line of standard input says and answers with a line of JSON."""

import json
import logging
import resource
import sys
import threading
import time

logging.disable(logging.CRITICAL)

from oslo_config import cfg  # noqa: E402
import oslo_messaging  # noqa: E402

ROLE, URL, EXCHANGE, TOPIC, VALUE, CONTEXT = sys.argv[1:7]
CONTEXT = json.loads(CONTEXT)
seen = 0
counting = threading.Lock()


def cpu():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return int((usage.ru_utime + usage.ru_stime) * 1e6)


def answer(**what):
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


class Endpoint:
    def echo(self, ctxt, value):
        return value

    def tag(self, ctxt, value):
        global seen
        with counting:
            seen += 1


def run(client, method, n, callers):
    """Makes n calls or casts by so many threads, and says how long each took."""
    took, failed, lock = [], [], threading.Lock()
    share = [n // callers + (i < n % callers) for i in range(callers)]

    def work(count):
        mine, bad = [], []
        send = client.call if method == "echo" else client.cast
        for _ in range(count):
            start = time.perf_counter()
            try:
                send(CONTEXT, method, value=VALUE)
            except Exception as error:
                bad.append("%s: %s" % (type(error).__name__, error))
                continue
            mine.append(int((time.perf_counter() - start) * 1e9))
        with lock:
            took.extend(mine)
            failed.extend(bad)

    threads = [threading.Thread(target=work, args=(count,)) for count in share]
    before, start = cpu(), time.perf_counter()
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return {"nanoseconds": int((time.perf_counter() - start) * 1e9), "cpu_us": cpu() - before,
            "took": took, "failed": len(failed), "why": failed[0] if failed else ""}


conf = cfg.CONF
conf([], project="bench")
oslo_messaging.set_transport_defaults(EXCHANGE)
transport = oslo_messaging.get_rpc_transport(conf, url=URL)
server = client = None
if ROLE == "server":
    server = oslo_messaging.get_rpc_server(
        transport, oslo_messaging.Target(topic=TOPIC, server="bench"), [Endpoint()], executor="threading")
    server.start()
else:
    make = getattr(oslo_messaging, "get_rpc_client", oslo_messaging.RPCClient)
    client = make(transport, oslo_messaging.Target(topic=TOPIC), timeout=60)
answer(ready=True)
for line in sys.stdin:
    command = json.loads(line)
    if command["do"] == "cpu":
        answer(cpu_us=cpu())
    elif command["do"] == "seen":
        answer(seen=seen)
    else:
        answer(**run(client, command["do"], command["n"], command["callers"]))
if server:
    server.stop()
    server.wait()
transport.cleanup()
