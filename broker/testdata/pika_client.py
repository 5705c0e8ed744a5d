"""Does with pika what a client does, at the broker whose URL is given, with
queues whose names begin as given, and prints what happened."""

import sys
import threading

import pika

url, mark = sys.argv[1:]


def connect():
    return pika.BlockingConnection(pika.URLParameters(url))


def serve(ready, calls):
    """Answers that many calls."""
    connection = connect()
    channel = connection.channel()
    channel.queue_declare(mark + "server", exclusive=True)
    channel.basic_qos(prefetch_count=1)
    ready.set()
    for method, properties, body in channel.consume(mark + "server"):
        channel.basic_publish("", properties.reply_to, body.upper(),
                              pika.BasicProperties(correlation_id=properties.correlation_id))
        channel.basic_ack(method.delivery_tag)
        calls -= 1
        if not calls:
            break
    connection.close()


connection = connect()
channel = connection.channel()
channel.confirm_delivery()
queue, exchange = mark + "q", mark + "x"
channel.exchange_declare(exchange, "topic", auto_delete=True)
channel.queue_declare(queue, exclusive=True, arguments={"x-max-length": 100})
channel.queue_bind(queue, exchange, "a.#")

properties = pika.BasicProperties(content_type="text/plain", delivery_mode=2, priority=3, message_id="m",
                                  headers={"n": 1, "s": "text", "t": {"deep": [True, None, 2]}})
for body in (b"", b"small", b"x" * 300000):
    channel.basic_publish(exchange, "a.b.c", body, properties, mandatory=True)
print("confirmed")
try:
    channel.basic_publish(exchange, "nowhere", b"lost", mandatory=True)
except pika.exceptions.UnroutableError as e:
    print("returned", e.messages[0].method.reply_code, e.messages[0].body)
method, properties, body = channel.basic_get(queue)
print("got", method.message_count, method.redelivered, properties.headers, properties.message_id, len(body))
channel.basic_nack(method.delivery_tag, requeue=True)
for method, properties, body in channel.consume(queue, inactivity_timeout=20):
    print("consumed", method.redelivered, len(body))
    channel.basic_ack(method.delivery_tag)
    if len(body) == 300000:
        break
channel.cancel()

for replies in ("amq.rabbitmq.reply-to", ""):
    calls = connection.channel()
    if not replies:
        replies = calls.queue_declare("", exclusive=True).method.queue
    answers = []
    calls.basic_consume(replies, lambda c, m, p, body: answers.append((p.correlation_id, body)), auto_ack=True)
    ready = threading.Event()
    server = threading.Thread(target=serve, args=(ready, 3))
    server.start()
    ready.wait(20)
    for i in range(3):
        calls.basic_publish("", mark + "server", b"call %d" % i,
                            pika.BasicProperties(reply_to=replies, correlation_id=str(i)), mandatory=True)
    while len(answers) < 3:
        connection.process_data_events(time_limit=1)
    server.join()
    print("answers", sorted(answers))

other = connection.channel()
try:
    other.queue_declare(mark + "none", passive=True)
except pika.exceptions.ChannelClosedByBroker as e:
    print("closed", e.reply_code)
other = connection.channel()
try:
    other.queue_declare(queue, exclusive=True, arguments={"x-max-length": 5})
except pika.exceptions.ChannelClosedByBroker as e:
    print("closed", e.reply_code)
transaction = connection.channel()
transaction.tx_select()
transaction.basic_publish("", queue, b"committed")
transaction.tx_commit()
transaction.basic_publish("", queue, b"rolled back")
transaction.tx_rollback()
print("in the queue", channel.queue_purge(queue).method.message_count)
connection.close()
print("closed")
