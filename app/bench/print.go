package bench

import (
	"fmt"
	"io"
	"syscall"
	"text/tabwriter"
	"time"
)

// processCPU returns the processor time, user and system, of this process.
func processCPU() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// WriteText writes the report for people.
func (r *Report) WriteText(w io.Writer) error {
	fmt.Fprintf(w, "%d messages a run, %d runs a side in turn, medians; %s queues, persistent, confirmed, acknowledged, prefetch %d; filter: %s; %s on %d CPUs\n\n",
		r.Messages, r.Rounds, r.Queue, r.Prefetch, r.Filter, r.Go, r.CPUs)
	tw := tabwriter.NewWriter(w, 0, 4, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, "body\tforwarder\tmessages/s\tCPU µs/message\tlost\tduplicates\tout of order\t")
	for _, res := range r.Results {
		for _, side := range []struct {
			name string
			Side
		}{{"bare amqp091-go loop", res.Bare}, {"router", res.Router}} {
			fmt.Fprintf(tw, "%d B\t%s\t%.0f\t%.1f\t%d\t%d\t%d\t\n", res.Size, side.name, side.PerSecond, side.CPUMicros, side.Lost, side.Duplicates, side.OutOfOrder)
		}
		fmt.Fprintf(tw, "\trouter / bare\t%.2f\t%.2f\t\t\t\t\n", res.ThroughputRatio, res.CPURatio)
	}
	return tw.Flush()
}
