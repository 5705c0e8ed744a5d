package broker

import "fmt"

// Reply codes of AMQP 0-9-1.
const (
	codeSuccess            = 200
	codeContentTooLarge    = 311
	codeNoRoute            = 312
	codeConnectionForced   = 320
	codeInvalidPath        = 402
	codeAccessRefused      = 403
	codeNotFound           = 404
	codeResourceLocked     = 405
	codePreconditionFailed = 406
	codeFrameError         = 501
	codeSyntaxError        = 502
	codeCommandInvalid     = 503
	codeChannelError       = 504
	codeUnexpectedFrame    = 505
	codeResourceError      = 506
	codeNotAllowed         = 530
	codeNotImplemented     = 540
	codeInternalError      = 541
)

var codeNames = map[uint16]string{
	codeSuccess: "SUCCESS", codeContentTooLarge: "CONTENT_TOO_LARGE", codeNoRoute: "NO_ROUTE",
	codeConnectionForced: "CONNECTION_FORCED", codeInvalidPath: "INVALID_PATH", codeAccessRefused: "ACCESS_REFUSED",
	codeNotFound: "NOT_FOUND", codeResourceLocked: "RESOURCE_LOCKED", codePreconditionFailed: "PRECONDITION_FAILED",
	codeFrameError: "FRAME_ERROR", codeSyntaxError: "SYNTAX_ERROR", codeCommandInvalid: "COMMAND_INVALID",
	codeChannelError: "CHANNEL_ERROR", codeUnexpectedFrame: "UNEXPECTED_FRAME", codeResourceError: "RESOURCE_ERROR",
	codeNotAllowed: "NOT_ALLOWED", codeNotImplemented: "NOT_IMPLEMENTED", codeInternalError: "INTERNAL_ERROR",
}

// exception closes a channel, or the whole connection.
type exception struct {
	code       uint16
	text       string
	connection bool
	class      uint16 // of the method that is to blame; 0 is none
	method     uint16
}

func channelError(code uint16, format string, args ...any) *exception {
	return &exception{code: code, text: codeNames[code] + " - " + fmt.Sprintf(format, args...)}
}

func connectionError(code uint16, format string, args ...any) *exception {
	e := channelError(code, format, args...)
	e.connection = true
	return e
}
