"""Declares what the real oslo.messaging declares under some options.

declare.py URL EXCHANGE TOPIC

The options are those of the URL. A server, a client that calls it, a notifier
and a listener run once; then a line tells "ok" and the process goes on, so that
what deletes itself stays, until its standard input ends. If anything is refused
the process ends with another line.
"""

import os
import sys
import threading

from oslo_config import cfg
import oslo_messaging


class Endpoint:
    def echo(self, ctxt):
        return "echo"

    def info(self, ctxt, publisher_id, event_type, payload, metadata):
        heard.set()


def work(url, exchange, topic):
    conf = cfg.CONF
    conf([])
    oslo_messaging.set_transport_defaults(control_exchange=exchange)
    transport = oslo_messaging.get_rpc_transport(conf, url=url)
    target = oslo_messaging.Target(exchange=exchange, topic=topic, server="one")
    server = oslo_messaging.get_rpc_server(transport, target, [Endpoint()], executor="threading")
    server.start()
    client = oslo_messaging.get_rpc_client(
        transport, oslo_messaging.Target(exchange=exchange, topic=topic), timeout=30)
    client.call({}, "echo")
    client.prepare(fanout=True).cast({}, "echo")

    notifications = oslo_messaging.get_notification_transport(conf, url=url)
    listener = oslo_messaging.get_notification_listener(
        notifications, [oslo_messaging.Target(exchange=exchange, topic=topic + ".n")], [Endpoint()],
        executor="threading")
    listener.start()
    notifier = oslo_messaging.Notifier(
        notifications, publisher_id="p", driver="messagingv2", topics=[topic + ".n"])
    notifier.info({}, "e", {})
    if not heard.wait(30):
        raise RuntimeError("the notification was lost")


def main():
    try:
        work(*sys.argv[1:])
        print("ok", flush=True)
    except Exception as e:
        print(type(e).__name__, str(e).replace("\n", " "), flush=True)
        os._exit(1)
    sys.stdin.read()
    os._exit(0)


heard = threading.Event()
# A refused declaration is tried for ever: give up instead.
threading.Timer(90, lambda: (print("given up", flush=True), os._exit(1))).start()
main()
