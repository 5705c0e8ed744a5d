// Package shadow tries a filter's new version beside the old one.
//
// A [Trial] is a [router.FilterSource] that holds both. While the new version is
// a shadow, the old one decides every message, and a copy of what it was given
// and of what it made goes to the new version afterwards, on a goroutine of the
// trial's own: nothing that the new version does, and no time that it takes,
// reaches a message. What it makes otherwise is a [Difference]. Promoted, it
// decides a share of the messages, then all; the old version stays at hand and
// takes over at once when the new one fails.
//
// A lane changes from one version to the other between two messages, so that
// nothing is drained, lost or sent twice.
package shadow
