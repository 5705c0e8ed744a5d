"""Does with the real oslo.messaging what the tests ask, one JSON list of cases
on standard input, and answers with one JSON list."""

import json
import sys

import kombu.compression
import kombu.message
from oslo_messaging import _utils
from oslo_messaging._drivers import amqp
from oslo_messaging._drivers import amqpdriver
from oslo_messaging._drivers import common
from oslo_messaging.rpc import dispatcher
from oslo_serialization import jsonutils


def text(value):
    return json.dumps(value, sort_keys=True)


def receive(case):
    """What the driver makes of a message of these properties."""
    message = kombu.message.Message(
        body=bytes.fromhex(case["body"]), content_type=case.get("content_type"),
        content_encoding=case.get("content_encoding"),
        headers=case.get("headers") or {}, accept=["application/json"])
    inner = common.deserialize_msg(message.payload)
    if not isinstance(inner, dict):
        raise TypeError(type(inner).__name__)
    return inner


def request(case):
    message = receive(case)
    context = amqp.unpack_context(message)
    message.pop("_unique_id", None)
    values = context.to_dict()
    timeout = values.pop("client_timeout")
    return {"rest": message, "context": values, "msg_id": context.msg_id,
            "reply_q": context.reply_q, "timeout": timeout}


class Once:
    """Stands for the event that ends a watchdog: notes how long it waits."""
    seconds = 0

    def wait(self, seconds):
        self.seconds = seconds
        return True


def compress(case):
    body, header = kombu.compression.compress(bytes.fromhex(case["body"]), case["method"])
    return {"body": body.hex(), "header": header}


def keepalive(case):
    incoming = type("Incoming", (), {})()
    incoming.client_timeout = json.loads(case["timeout"])
    if not incoming.client_timeout:
        return 0
    event = Once()
    try:
        dispatcher.RPCDispatcher._watchdog(None, event, incoming)
    except Exception:
        return 0  # the thread ends
    return event.seconds


class Waiter:
    """What a waiter for replies has that its reading of them needs."""
    allowed_remote_exmods = ["oslo_messaging.rpc.dispatcher"]

    class msg_id_cache:
        @staticmethod
        def check_duplicate_message(data):
            pass


def reply(case):
    result, ending = amqpdriver.ReplyWaiter._process_reply(Waiter, receive(case))
    if not isinstance(result, Exception):
        return {"result": result, "ending": bool(ending)}
    return {"type": type(result).__name__, "exc_type": getattr(result, "exc_type", None),
            "value": getattr(result, "value", None), "text": str(result),
            "args": [str(a) for a in result.args], "ending": bool(ending)}


def remote(case):
    """An exception that came from afar and is sent on."""
    failure = common.deserialize_remote_exception(case["failure"], Waiter.allowed_remote_exmods)
    return json.loads(common.serialize_remote_exception((type(failure), failure, None)))


DO = {
    "receive": receive,
    "request": request,
    "reply": reply,
    "keepalive": keepalive,
    "remote": remote,
    "again": lambda case: jsonutils.dumps(jsonutils.loads(case["text"])),
    "compatible": lambda case: _utils.version_is_compatible(case["have"], case["want"]),
    "compress": compress,
}

answers = []
for case in json.load(sys.stdin):
    try:
        answers.append({"ok": text(DO[case["do"]](case))})
    except Exception as error:
        answers.append({"error": "%s: %s" % (type(error).__name__, error)})
json.dump(answers, sys.stdout)
