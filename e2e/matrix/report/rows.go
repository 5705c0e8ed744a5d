package main

// row is one row of the fault matrix: what goes wrong, and what must hold besides what
// holds for every row.
type row struct {
	number    int
	fault     string
	criterion string
}

// rows is the fault matrix. The tests of row n have names that begin with TestF and n
// in two digits.
var rows = []row{
	{1, "router killed (SIGKILL)", "in flow again with the new process"},
	{2, "router stopped (SIGTERM) under load", "ends with code 0; no duplicate at all"},
	{3, "router paused (SIGSTOP) for 1.5 and 3 heartbeats", "acknowledges nothing of a session that is gone, reconnects once"},
	{4, "all connections closed by the broker", "in flow again each time"},
	{5, "broker's application stopped and started", "in flow again each time"},
	{6, "broker killed and started; quorum queues with a single active consumer", "in flow again each time"},
	{7, "broker paused (SIGSTOP)", "no goroutine stuck beyond the write deadline; SIGTERM works meanwhile"},
	{8, "memory alarm, disk alarm", "shown as blocked; no reconnects; goes on when it is over"},
	{9, "alarm and closed connections, alarm and SIGTERM", "draining gives up in time"},
	{10, "sending side alone swallowed, reset, down", "nothing acknowledged meanwhile"},
	{11, "receiving side alone swallowed, reset", "noticed within the heartbeat's time"},
	{12, "latency, little bandwidth, packets in slices", "no time-outs; the window stays full"},
	{13, "packets lost, all lost, reset", "as 10 and 11"},
	{14, "target unroutable for a while and for good", "dead letters exactly the messages that nobody took"},
	{15, "target refuses (nacks)", "tried again without spinning"},
	{16, "exchange missing at start, deleted at run time", "other routes go on"},
	{17, "queue deleted under the consumer", "consumed again when it exists again"},
	{18, "queue declared differently, permission withdrawn", "error names the object; no crash loop"},
	{19, "poisonous messages and filters", "only the poisonous message fails"},
	{20, "consumer timeout of the broker", "delivered once more, visible"},
	{21, "node of a cluster killed, cut off, paused; rolling restart", "goes on with another node"},
	{22, "first host down at start, all hosts down", "starts not ready, connects when it can"},
	{23, "TLS: hosts of different names, expired client certificate", "verified each time; error names the host"},
	{24, "calls: caller killed, server killed, late reply, reply queue gone, connections closed", "every call ends by its deadline; no reply to a wrong caller"},
	{25, "a random fault at least every 10 s for as long as the load lasts", "memory, descriptors and goroutines stay flat"},
	{26, "dead-letter destination full or missing", "the message stays in its queue; visible; no spinning"},
	{27, "some of many targets reached, then trouble", "only the others are sent to again"},
	{28, "filters that loop, recurse, eat memory, exit, leak", "an unrelated route is hardly delayed; memory flat"},
	{29, "filter swapped, configuration reloaded, a broken one too", "no duplicate at all; the broken one changes nothing"},
	{30, "three routers on one queue, one killed again and again", "the others go on"},
	{31, "callers that died before their replies came", "no other caller delayed"},
	{32, "wall clock jumps, file descriptors exhausted", "timers do not follow; clear error; recovers"},
}
