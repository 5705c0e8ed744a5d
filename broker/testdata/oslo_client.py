"""Does with oslo.messaging what its users do, at the broker whose URL is given,
with names that begin as given, and prints what happened."""

import sys
import threading

from oslo_config import cfg
import oslo_messaging

url, mark = sys.argv[1:]
cfg.CONF([])


def transport(make):
    return make(cfg.CONF, url.replace("amqp://", "rabbit://"))


class Endpoint:
    def __init__(self):
        self.casts = threading.Semaphore(0)

    def double(self, context, n):
        return {"twice": 2 * n, "by": context.get("user")}

    def fail(self, context):
        raise KeyError("no such thing")

    def note(self, context, text):
        self.casts.release()


class Listener:
    def __init__(self):
        self.heard = []
        self.all = threading.Event()

    def info(self, context, publisher, event, payload, metadata):
        self.heard.append((publisher, event, payload))
        if len(self.heard) == 3:
            self.all.set()


serving = transport(oslo_messaging.get_rpc_transport)
endpoints = [Endpoint(), Endpoint()]
servers = []
for name, endpoint in zip(("one", "two"), endpoints):
    server = oslo_messaging.get_rpc_server(
        serving, oslo_messaging.Target(topic=mark + "topic", server=name), [endpoint], executor="threading")
    server.start()
    servers.append(server)
calling = transport(oslo_messaging.get_rpc_transport)
client = oslo_messaging.RPCClient(calling, oslo_messaging.Target(topic=mark + "topic"), timeout=20)
print("call", client.call({"user": "u"}, "double", n=21))
print("directed", client.prepare(server="two").call({}, "double", n="ab"))
try:
    client.call({}, "fail")
except Exception as e:
    print("remote error", type(e).__name__, str(e).splitlines()[0])
client.prepare(fanout=True).cast({}, "note", text="all")
print("fanout", all(endpoint.casts.acquire(timeout=20) for endpoint in endpoints))
client.prepare(server="one").cast({}, "note", text="one")
print("cast", endpoints[0].casts.acquire(timeout=20))

results = [None] * 20


def call(i):
    results[i] = client.call({}, "double", n=i)["twice"]


threads = [threading.Thread(target=call, args=(i,)) for i in range(len(results))]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print("at once", results)

notifying = transport(oslo_messaging.get_notification_transport)
listener = Listener()
listening = oslo_messaging.get_notification_listener(
    notifying, [oslo_messaging.Target(topic=mark + "notifications")], [listener], executor="threading")
listening.start()
notifier = oslo_messaging.Notifier(notifying, publisher_id="p", driver="messaging", topics=[mark + "notifications"])
for i in range(3):
    notifier.info({}, "event.%d" % i, {"n": i})
print("notified", listener.all.wait(20), sorted(listener.heard))
for server in servers + [listening]:
    server.stop()
    server.wait()
for t in (calling, serving, notifying):
    t.cleanup()
print("closed")
