// Package transport connects Go services to RabbitMQ as oslo.messaging connects
// Python's: a [Transport] is opened from a transport URL, and makes clients,
// servers, notifiers and listeners, which interoperate with oslo.messaging's.
//
// All of them share two connections, one to send on and one to listen on, with
// channels of their own. Both are dialled when they are first needed and again
// when they are lost.
//
//	t, err := transport.Open("rabbits://user:password@one,two/vhost", transport.Options{})
//	…
//	compute := t.Remote(rpc.Target{Topic: "compute", Version: "5.0"})
//	err = compute.Call(ctx, "ping", nil, &pong)
//
// docs/SERVICES.md is the guide, and says what becomes of each of
// oslo.messaging's options.
package transport
