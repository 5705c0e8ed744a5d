"""The real oslo.messaging, driven by the interop tests.

peer.py URL

Every line of standard input is a command, ID OP JSON, and runs in a thread of
its own; its result is the line ID JSON. What endpoints are told on the way is
a line too, KEY JSON. The process ends when its standard input does.
"""

import builtins
import json
import os
import sys
import threading
import time
import traceback

from oslo_config import cfg
import oslo_messaging
from oslo_messaging.rpc import dispatcher

import interop_errors

lock = threading.Lock()


def say(key, value):
    text = "%s %s\n" % (key, json.dumps(value))
    with lock:
        sys.stdout.write(text)
        sys.stdout.flush()


held = {}


def gate(key):
    with lock:
        return held.setdefault(key, threading.Event())


counts = {}


class Endpoint:
    target = oslo_messaging.Target(version="1.2")

    def __init__(self, name):
        self.name = name

    def echo(self, ctxt, value):
        return value

    def kind(self, ctxt, value):
        return type(value).__name__

    def size(self, ctxt, value):
        return len(value)

    def big(self, ctxt, n):
        return "\u00e9" * n

    def nothing(self, ctxt):
        pass

    def who(self, ctxt):
        return self.name

    def context(self, ctxt):
        return ctxt

    def values(self, ctxt):
        return {"big": 2**80, "float": 1.0, "int": 1, "nan": float("nan"), "inf": float("-inf"), "lone": "\udc80", "astral": "\U0001f600"}

    def fail(self, ctxt, error, args):
        raise getattr(builtins, error)(*args)

    def custom(self, ctxt):
        raise interop_errors.InteropError("oops", code=42, uuid="u-1")

    @oslo_messaging.expected_exceptions(ValueError)
    def expected(self, ctxt):
        raise ValueError("as expected")

    def slow(self, ctxt, secs):
        time.sleep(secs)
        return "slept"

    def hold(self, ctxt, key):
        say("held." + key, self.name)
        gate(key).wait(60)
        say("let." + key, self.name)
        return key

    def tag(self, ctxt, tag):
        say("tag." + tag, self.name)

    def count(self, ctxt, key):
        with lock:
            counts[key] = counts.get(key, 0) + 1
            return counts[key]

    def _hidden(self, ctxt):
        return "seen"


class Spaced:
    target = oslo_messaging.Target(namespace="interop.ns", version="2.1", legacy_namespaces=["interop.old"])

    def where(self, ctxt):
        return "in interop.ns"


class Heard:
    """A listener that tells of each notification under its event type.

    One whose payload says so is requeued as often as that.
    """

    def __init__(self, priorities, key):
        self.key = key
        self.left = {}
        for priority in priorities:
            setattr(self, priority, lambda *args, priority=priority: self.heard(priority, *args))

    def heard(self, priority, ctxt, publisher_id, event_type, payload, metadata):
        say(self.key + event_type, {"priority": priority, "context": ctxt, "publisher": publisher_id, "payload": payload, "id": metadata["message_id"], "at": metadata["timestamp"]})
        again = payload.get("requeue", 0) if isinstance(payload, dict) else 0
        with lock:
            left = self.left.setdefault(event_type, again)
            self.left[event_type] = left - 1
        return oslo_messaging.NotificationResult.REQUEUE if left > 0 else oslo_messaging.NotificationResult.HANDLED


class Batched:
    def __init__(self, priorities, key):
        self.key = key
        for priority in priorities:
            setattr(self, priority, lambda messages, priority=priority: self.heard(priority, messages))

    def heard(self, priority, messages):
        say(self.key + "batch", {"priority": priority, "events": [m["event_type"] for m in messages]})
        return oslo_messaging.NotificationResult.HANDLED


made = {}
making = threading.Lock()


def transport(c, kind):
    url = sys.argv[1] + ("?" + c["query"] if "query" in c else "")
    if "at" in c:
        url = c["at"]
    key = (url, kind, tuple(c.get("exmods", ())))
    with making:
        if key not in made:
            if kind == "rpc":
                made[key] = oslo_messaging.get_rpc_transport(cfg.CONF, url=url, allowed_remote_exmods=c.get("exmods", []))
            else:
                made[key] = oslo_messaging.get_notification_transport(cfg.CONF, url=url)
        return made[key]


def target(c):
    names = ("exchange", "topic", "server", "namespace", "version", "fanout")
    return oslo_messaging.Target(**{k: c[k] for k in names if k in c})


running = {}


def serve(c):
    server = oslo_messaging.get_rpc_server(transport(c, "rpc"), target(c), [Endpoint(c["server"]), Spaced()], executor="threading")
    server.start()
    running[c["topic"], c["server"]] = server


def stop(c):
    server = running.pop((c["topic"], c["server"]))
    server.stop()
    server.wait()


def client(c):
    options = oslo_messaging.TransportOptions(at_least_once=True) if c.get("mandatory") else None
    made = oslo_messaging.get_rpc_client(
        transport(c, "rpc"), target(c), timeout=c.get("timeout", 60), version_cap=c.get("cap"),
        call_monitor_timeout=c.get("monitor"), transport_options=options, retry=c.get("retry"))
    return made.prepare(**c["prepare"]) if "prepare" in c else made


def call(c):
    return client(c).call(c.get("context", {}), c["method"], **c.get("args", {}))


def cast(c):
    return client(c).cast(c.get("context", {}), c["method"], **c.get("args", {}))


def calls(c):
    """As many calls at once as C says; returns how many were answered right."""
    made = client(c)
    good = []

    def one(i):
        if made.call({}, c["method"], value=i) == i:
            good.append(i)

    threads = [threading.Thread(target=one, args=(i,)) for i in range(c["n"])]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    return len(good)


def notify(c):
    notifier = oslo_messaging.Notifier(
        transport(c, "notify"), publisher_id="py.host", driver=c.get("driver", "messagingv2"),
        topics=c.get("topics", [c["topic"]]), retry=c.get("retry", -1))
    getattr(notifier, c["priority"])(c.get("context", {}), c["event"], c["payload"])


def listen(c):
    batch = {"batch_size": c["batch"], "batch_timeout": c.get("within", 2)} if "batch" in c else {}
    make = oslo_messaging.get_batch_notification_listener if batch else oslo_messaging.get_notification_listener
    endpoint = (Batched if batch else Heard)(c["priorities"], c.get("key", ""))
    listener = make(
        transport(c, "notify"), [oslo_messaging.Target(exchange=c.get("exchange"), topic=t) for t in c.get("topics", [c["topic"]])],
        [endpoint], executor="threading", pool=c.get("pool"), allow_requeue=c.get("requeue", False), **batch)
    listener.start()


def release(c):
    gate(c["key"]).set()


ops = {f.__name__: f for f in (serve, stop, call, cast, calls, notify, listen, release)}


def run(line):
    number, op, text = line.split(" ", 2)
    try:
        say(number, {"result": ops[op](json.loads(text))})
    except Exception as e:
        if os.environ.get("PEER_TRACE"):
            traceback.print_exc()
        say(number, {"error": {
            "class": type(e).__name__, "module": type(e).__module__, "remote": getattr(e, "exc_type", None),
            "text": str(getattr(e, "value", None) or e).split("\n")[0], "kwargs": getattr(e, "kwargs", None)}})


def main():
    cfg.CONF([], project="interop")
    cfg.CONF.register_opts(dispatcher._dispatcher_opts)
    cfg.CONF.set_override("rpc_ping_enabled", True)
    say("ready", None)
    for line in sys.stdin:
        threading.Thread(target=run, args=(line,), daemon=True).start()
    # The library's threads would take another ten seconds to end.
    os._exit(0)


main()
