// Does with amqplib what a client does, at the broker whose URL is given, with
// queues whose names begin as given, and prints what happened.
'use strict'

const amqp = require('amqplib')
const { once } = require('events')

const [url, mark] = process.argv.slice(2)

async function main () {
  const connection = await amqp.connect(url, { clientProperties: { connection_name: 'amqplib' } })
  const channel = await connection.createConfirmChannel()
  const queue = mark + 'q'
  await channel.assertExchange(mark + 'x', 'headers', { autoDelete: true })
  await channel.assertQueue(queue, { exclusive: true, maxPriority: 5, messageTtl: 60000, deadLetterExchange: '', deadLetterRoutingKey: mark + 'dead' })
  await channel.assertQueue(mark + 'dead', { exclusive: true })
  await channel.bindQueue(queue, mark + 'x', '', { 'x-match': 'any', a: 1, b: 'two' })

  const returned = once(channel, 'return')
  for (const [body, priority] of [['', 0], ['y'.repeat(300000), 1], ['urgent', 5]]) {
    channel.publish(mark + 'x', '', Buffer.from(body), {
      priority, mandatory: true, persistent: true, timestamp: 1700000000, headers: { a: 1, list: [1, 'x', { deep: true }] }
    })
  }
  channel.publish(mark + 'x', '', Buffer.from('lost'), { mandatory: true, headers: { b: 'three' } })
  await channel.waitForConfirms()
  console.log('confirmed')
  const [lost] = await returned
  console.log('returned', lost.fields.replyCode, lost.content.toString())

  const first = await channel.get(queue)
  console.log('got', first.fields.messageCount, first.content.toString(), JSON.stringify(first.properties.headers), first.properties.timestamp)
  channel.nack(first, false, false)
  await channel.prefetch(1)
  const got = []
  await new Promise((resolve, reject) => channel.consume(queue, message => {
    got.push(message.content.length)
    channel.ack(message)
    if (got.length === 2) resolve()
  }, { consumerTag: 'c' }).catch(reject))
  await channel.cancel('c')
  console.log('consumed', got.join())
  const dead = await channel.get(mark + 'dead', { noAck: true })
  const death = dead.properties.headers['x-death'][0]
  console.log('dead', dead.content.toString(), death.reason, death.count)

  const server = await connection.createChannel()
  await server.assertQueue(mark + 'server', { exclusive: true })
  await server.consume(mark + 'server', message => {
    server.sendToQueue(message.properties.replyTo, Buffer.from(message.content.toString().toUpperCase()),
      { correlationId: message.properties.correlationId })
    server.ack(message)
  })
  for (const direct of [true, false]) {
    const client = await connection.createChannel()
    const replyTo = direct ? 'amq.rabbitmq.reply-to' : (await client.assertQueue('', { exclusive: true })).queue
    const answers = []
    const all = new Promise((resolve, reject) => client.consume(replyTo, message => {
      answers.push(message.properties.correlationId + '=' + message.content)
      if (answers.length === 3) resolve()
    }, { noAck: true }).catch(reject))
    for (const correlationId of ['1', '2', '3']) {
      client.sendToQueue(mark + 'server', Buffer.from('call'), { replyTo, correlationId })
    }
    await all
    console.log('answers', answers.sort().join())
    await client.close()
  }

  const cancelled = new Promise((resolve, reject) => channel.consume(mark + 'dead', message => {
    if (message === null) resolve()
  }).catch(reject))
  await server.deleteQueue(mark + 'dead')
  await cancelled
  console.log('consumer cancelled')
  for (const fail of [c => c.checkQueue(mark + 'none'), c => c.assertQueue(queue, { exclusive: true }), c => c.publish(mark + 'none', '', Buffer.alloc(0))]) {
    const victim = await connection.createChannel()
    const closed = once(victim, 'error')
    Promise.resolve(fail(victim)).catch(() => {})
    console.log('closed', (await closed)[0].code)
  }
  await connection.close()
  console.log('closed')
}

main().catch(e => {
  console.error(e)
  process.exit(1)
})
