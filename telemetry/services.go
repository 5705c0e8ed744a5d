package telemetry

// ServiceStat is what one program's clients, servers and listeners of package rpc
// did, as sums.
type ServiceStat struct {
	Name     string
	Client   ClientStat
	Server   ServerStat
	Listener ListenerStat
}

// ClientStat is rpc.ClientStat.
type ClientStat struct {
	Waiting, Retrying                       int
	Calls, Casts, Notified                  uint64
	Retried, GaveUp                         uint64
	Replies, LateReplies, KeepAlives        uint64
	Malformed, QueuesLost, Silent, TimedOut uint64
}

var clientFigures = []figure[ClientStat]{
	{"rpc_calls_waiting", "Calls that wait for their reply.", "", func(s *ClientStat) float64 { return float64(s.Waiting) }},
	{"rpc_publishes_waiting", "Messages of clients that wait to be published again.", "", func(s *ClientStat) float64 { return float64(s.Retrying) }},
	{"rpc_sent_total", "Messages that clients were asked to send, by kind.", "kind=call", func(s *ClientStat) float64 { return float64(s.Calls) }},
	{"rpc_sent_total", "", "kind=cast", func(s *ClientStat) float64 { return float64(s.Casts) }},
	{"rpc_sent_total", "", "kind=notification", func(s *ClientStat) float64 { return float64(s.Notified) }},
	{"rpc_publishes_repeated_total", "Publishes of clients that were repeated.", "", func(s *ClientStat) float64 { return float64(s.Retried) }},
	{"rpc_publishes_given_up_total", "Messages of clients that the broker did not take.", "", func(s *ClientStat) float64 { return float64(s.GaveUp) }},
	{"rpc_calls_ended_total", "Calls that ended once they were sent, by how.", "result=reply", func(s *ClientStat) float64 { return float64(s.Replies) }},
	{"rpc_calls_ended_total", "", "result=timeout", func(s *ClientStat) float64 { return float64(s.TimedOut) }},
	{"rpc_calls_ended_total", "", "result=silent", func(s *ClientStat) float64 { return float64(s.Silent) }},
	{"rpc_late_replies_total", "Replies to calls that had ended or are unknown.", "", func(s *ClientStat) float64 { return float64(s.LateReplies) }},
	{"rpc_keepalives_received_total", "Signs of life that servers gave.", "", func(s *ClientStat) float64 { return float64(s.KeepAlives) }},
	{"rpc_malformed_replies_total", "Replies that could not be read.", "", func(s *ClientStat) float64 { return float64(s.Malformed) }},
	{"rpc_reply_queues_lost_total", "Times that the reply queue was lost.", "", func(s *ClientStat) float64 { return float64(s.QueuesLost) }},
}

// ServerStat is rpc.ServerStat.
type ServerStat struct {
	Running, Retrying, Missing             int
	Received, Casts, Malformed, Duplicates uint64
	Failed, Panics, Again, Unfit           uint64
	Replies, GaveUp, ToGone, Retried       uint64
	KeepAlives                             uint64
}

var serverFigures = []figure[ServerStat]{
	{"rpc_handlers_running", "Requests that are being handled.", "", func(s *ServerStat) float64 { return float64(s.Running) }},
	{"rpc_replies_waiting", "Replies that wait to be published again.", "", func(s *ServerStat) float64 { return float64(s.Retrying) }},
	{"rpc_reply_queues_missing", "Queues that replies wait for.", "", func(s *ServerStat) float64 { return float64(s.Missing) }},
	{"rpc_requests_received_total", "Messages that servers received.", "", func(s *ServerStat) float64 { return float64(s.Received) }},
	{"rpc_requests_without_reply_total", "Requests that want no reply.", "", func(s *ServerStat) float64 { return float64(s.Casts) }},
	{"rpc_requests_dropped_total", "Requests dropped, by why.", "reason=malformed", func(s *ServerStat) float64 { return float64(s.Malformed) }},
	{"rpc_requests_dropped_total", "", "reason=duplicate", func(s *ServerStat) float64 { return float64(s.Duplicates) }},
	{"rpc_requests_failed_total", "Requests answered with a failure.", "", func(s *ServerStat) float64 { return float64(s.Failed) }},
	{"rpc_handler_panics_total", "Panics of handlers of requests.", "", func(s *ServerStat) float64 { return float64(s.Panics) }},
	{"rpc_requests_given_back_total", "Requests given back to the broker.", "", func(s *ServerStat) float64 { return float64(s.Again) }},
	{"rpc_replies_unfit_total", "Replies that could not be sent as they were, and were replaced by a failure.", "", func(s *ServerStat) float64 { return float64(s.Unfit) }},
	{"rpc_replies_sent_total", "Replies that the broker took.", "", func(s *ServerStat) float64 { return float64(s.Replies) }},
	{"rpc_replies_given_up_total", "Replies that never arrived, by why.", "reason=refused", func(s *ServerStat) float64 { return float64(s.GaveUp) }},
	{"rpc_replies_given_up_total", "", "reason=gone", func(s *ServerStat) float64 { return float64(s.ToGone) }},
	{"rpc_replies_repeated_total", "Publishes of replies that were repeated.", "", func(s *ServerStat) float64 { return float64(s.Retried) }},
	{"rpc_keepalives_sent_total", "Signs of life given to callers.", "", func(s *ServerStat) float64 { return float64(s.KeepAlives) }},
}

// ListenerStat is rpc.NotificationStat.
type ListenerStat struct {
	InHand, Resting                                 int
	Received, Handled, Unwanted, Unknown, Malformed uint64
	Duplicates, Failed, Panics, Again               uint64
	DeadLetters, Dropped                            uint64
}

var listenerFigures = []figure[ListenerStat]{
	{"rpc_notifications_in_hand", "Notifications that are not settled.", "", func(s *ListenerStat) float64 { return float64(s.InHand) }},
	{"rpc_notifications_resting", "Notifications that failed and wait to be handled again.", "", func(s *ListenerStat) float64 { return float64(s.Resting) }},
	{"rpc_notifications_received_total", "Messages that listeners received.", "", func(s *ListenerStat) float64 { return float64(s.Received) }},
	{"rpc_notifications_settled_total", "Notifications settled, by how.", "how=handled", func(s *ListenerStat) float64 { return float64(s.Handled) }},
	{"rpc_notifications_settled_total", "", "how=unwanted", func(s *ListenerStat) float64 { return float64(s.Unwanted) }},
	{"rpc_notifications_settled_total", "", "how=unknown-priority", func(s *ListenerStat) float64 { return float64(s.Unknown) }},
	{"rpc_notifications_settled_total", "", "how=duplicate", func(s *ListenerStat) float64 { return float64(s.Duplicates) }},
	{"rpc_notifications_settled_total", "", "how=given-back", func(s *ListenerStat) float64 { return float64(s.Again) }},
	{"rpc_notifications_settled_total", "", "how=dead-letter", func(s *ListenerStat) float64 { return float64(s.DeadLetters) }},
	{"rpc_notifications_settled_total", "", "how=dropped", func(s *ListenerStat) float64 { return float64(s.Dropped) }},
	{"rpc_notifications_malformed_total", "Messages that are no notifications.", "", func(s *ListenerStat) float64 { return float64(s.Malformed) }},
	{"rpc_notifications_failed_total", "Times that an endpoint did not handle a notification.", "", func(s *ListenerStat) float64 { return float64(s.Failed) }},
	{"rpc_notification_panics_total", "Panics of handlers of notifications.", "", func(s *ListenerStat) float64 { return float64(s.Panics) }},
}
