// Package router holds what the rest is about: envelopes and targets, routes
// and their lanes, the decisions of filters, settlement, dead letters, and the
// ports through which a broker and filters are reached. It knows neither AMQP
// nor WebAssembly.
package router
