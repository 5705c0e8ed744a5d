// Package broker is an AMQP 0-9-1 server that lives in the process of whoever
// uses it: for tests, for demonstrations and for trying things on one machine.
// Any client can connect to it, over TCP or through [Server.Pipe].
//
// It does what RabbitMQ does where it does anything at all: exchanges of all
// types, queues with their limits and lifetimes, dead letters, confirms,
// returns, prefetch, priorities, direct replies, and the same errors in kind.
// It keeps everything in memory and nothing beyond [Server.Close]: durable is a
// flag that it remembers, not a promise. It has no clusters, quorum queues,
// streams, policies, permissions or TLS. In production use RabbitMQ.
//
// What a broker does only on its worst days it does on command, see [Faults].
package broker
