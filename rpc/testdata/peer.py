"""A peer of the real oslo.messaging for the interop tests.

peer.py server|client|listener URL EXCHANGE TOPIC

It prints one JSON text a line, the first being "ready", and ends when its
standard input does. The client reads one JSON command a line.
"""

import json
import os
import sys
import threading
import time

from oslo_config import cfg
import oslo_messaging
from oslo_messaging.rpc import dispatcher


class InteropError(Exception):
    def __init__(self, message, **kwargs):
        super().__init__(message)
        self.kwargs = kwargs


lock = threading.Lock()


def say(value):
    with lock:
        sys.stdout.write(json.dumps(value) + "\n")
        sys.stdout.flush()


class Endpoint:
    target = oslo_messaging.Target(version="1.2")

    def __init__(self, name):
        self.name = name

    def echo(self, ctxt, value):
        return value

    def who(self, ctxt):
        return self.name

    def context(self, ctxt):
        return ctxt

    def values(self, ctxt):
        return {"big": 2**80, "float": 1.0, "int": 1, "nan": float("nan"), "inf": float("-inf"), "lone": "\udc80", "astral": "\U0001f600"}

    def kind(self, ctxt, value):
        return type(value).__name__

    def fail(self, ctxt, message):
        raise ValueError(message)

    def custom(self, ctxt):
        raise InteropError("oops", code=42)

    def slow(self, ctxt, secs):
        time.sleep(secs)
        return "slept"

    def tag(self, ctxt, tag):
        say({"server": self.name, "tag": tag})


class Spaced:
    target = oslo_messaging.Target(namespace="interop.ns", version="2.1")

    def where(self, ctxt):
        return "in interop.ns"


class Heard:
    def heard(self, priority, ctxt, publisher_id, event_type, payload, metadata):
        say({"priority": priority, "context": ctxt, "publisher": publisher_id, "event": event_type, "payload": payload, "id": metadata["message_id"], "at": metadata["timestamp"]})

    def info(self, *args):
        self.heard("info", *args)

    def error(self, *args):
        self.heard("error", *args)


def command(transport, exchange, topic, c):
    target = oslo_messaging.Target(exchange=exchange, topic=topic, **c.get("target", {}))
    if c["op"] == "notify":
        notifier = oslo_messaging.Notifier(transport, publisher_id="py.host", driver=c["driver"], topics=[topic])
        getattr(notifier, c["priority"])(c.get("context", {}), c["event"], c["payload"])
        return None
    client = oslo_messaging.get_rpc_client(transport, target, timeout=20, call_monitor_timeout=c.get("monitor"))
    if c["op"] == "call":
        return client.call(c.get("context", {}), c["method"], **c.get("args", {}))
    client.prepare(fanout=c["op"] == "fanout").cast(c.get("context", {}), c["method"], **c.get("args", {}))
    return None


def main():
    mode, url, exchange, topic = sys.argv[1:]
    conf = cfg.CONF
    conf([], project="interop")
    servers = []
    if mode == "listener":
        transport = oslo_messaging.get_notification_transport(conf, url=url)
        target = oslo_messaging.Target(exchange=exchange, topic=topic)
        servers.append(oslo_messaging.get_notification_listener(transport, [target], [Heard()], executor="threading"))
    else:
        oslo_messaging.set_transport_defaults(exchange)
        transport = oslo_messaging.get_rpc_transport(conf, url=url)
    if mode == "server":
        conf.register_opts(dispatcher._dispatcher_opts)
        conf.set_override("rpc_ping_enabled", True)
        for name in ("one", "two"):
            target = oslo_messaging.Target(exchange=exchange, topic=topic, server=name)
            servers.append(oslo_messaging.get_rpc_server(transport, target, [Endpoint(name), Spaced()], executor="threading"))
    for server in servers:
        server.start()
    say("ready")
    for line in sys.stdin:
        try:
            say({"result": command(transport, exchange, topic, json.loads(line))})
        except Exception as e:
            say({"error": type(e).__name__, "remote": getattr(e, "exc_type", None), "text": str(getattr(e, "value", None) or e).split("\n")[0]})
    # The library's threads would take another ten seconds to end.
    os._exit(0)


main()
