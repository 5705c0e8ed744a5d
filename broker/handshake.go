package broker

import (
	"errors"
	"io"
	"strings"
	"time"
)

// handshake opens the connection.
func (c *conn) handshake() error {
	_ = c.nc.SetReadDeadline(time.Now().Add(c.srv.cfg.HandshakeTimeout))
	var head [8]byte
	if _, err := io.ReadFull(c.br, head[:]); err != nil {
		return err
	}
	if string(head[:]) != "AMQP\x00\x00\x09\x01" {
		c.out.append(func(b []byte) []byte { return append(b, "AMQP\x00\x00\x09\x01"...) })
		return errors.New("another protocol")
	}
	c.send(0, 10, 10, func(e *encoder) {
		e.u8(0)
		e.u8(9)
		e.table(table{
			{"capabilities", table{
				{"publisher_confirms", true},
				{"exchange_exchange_bindings", true},
				{"basic.nack", true},
				{"consumer_cancel_notify", true},
				{"connection.blocked", true},
				{"consumer_priorities", true},
				{"authentication_failure_close", true},
				{"per_consumer_qos", true},
				{"direct_reply_to", true},
			}},
			{"product", c.srv.cfg.Product},
			{"version", c.srv.cfg.Version},
			{"platform", "Go"},
			{"information", "an embedded broker for tests and development; it keeps nothing"},
		})
		e.long("PLAIN AMQPLAIN")
		e.long("en_US")
	})
	d, err := c.expect(10, 11)
	if err != nil {
		return err
	}
	properties := d.table(0)
	mechanism, response := d.short(), d.long()
	d.short()
	if d.err != nil {
		return connectionError(codeSyntaxError, "connection.start-ok: %v", d.err)
	}
	capabilities, _ := properties.get("capabilities").(table)
	c.cancelNotify, _ = capabilities.get("consumer_cancel_notify").(bool)
	c.blockedNotify, _ = capabilities.get("connection.blocked").(bool)
	c.authNotify, _ = capabilities.get("authentication_failure_close").(bool)
	c.name, _ = properties.get("connection_name").(string)
	if err := c.login(mechanism, response); err != nil {
		return err
	}
	heartbeat := max(c.srv.cfg.Heartbeat, 0)
	c.send(0, 10, 30, func(e *encoder) {
		e.u16(channelMax)
		e.u32(frameMax)
		e.u16(uint16(heartbeat / time.Second))
	})
	if d, err = c.expect(10, 31); err != nil {
		return err
	}
	channels, frame, beat := int(d.u16()), int(d.u32()), time.Duration(d.u16())*time.Second
	switch {
	case d.err != nil:
		return connectionError(codeSyntaxError, "connection.tune-ok: %v", d.err)
	case frame != 0 && frame < minFrameMax:
		return connectionError(codeNotAllowed, "negotiated frame_max = %d is lower than the minimum allowed value (%d)", frame, minFrameMax)
	case frame > frameMax:
		return connectionError(codeNotAllowed, "negotiated frame_max = %d is higher than the maximum allowed value (%d)", frame, frameMax)
	case channels > channelMax:
		return connectionError(codeNotAllowed, "negotiated channel_max = %d is higher than the maximum allowed value (%d)", channels, channelMax)
	}
	if frame == 0 {
		frame = frameMax
	}
	if channels == 0 {
		channels = channelMax
	}
	c.frameMax, c.channelMax, c.heartbeat = frame, channels, beat
	if d, err = c.expect(10, 40); err != nil {
		return err
	}
	name := d.short()
	if d.err != nil {
		return connectionError(codeSyntaxError, "connection.open: %v", d.err)
	}
	v := c.srv.vhosts[name]
	if v == nil {
		return connectionError(codeNotAllowed, "vhost '%s' not found", name)
	}
	c.v = v
	c.send(0, 10, 41, func(e *encoder) { e.short("") })
	return nil
}

// login checks who the client says it is.
func (c *conn) login(mechanism string, response []byte) error {
	var user, password string
	switch mechanism {
	case "PLAIN":
		parts := strings.Split(string(response), "\x00")
		if len(parts) != 3 {
			return connectionError(codeSyntaxError, "a malformed response for the mechanism PLAIN")
		}
		user, password = parts[1], parts[2]
	case "AMQPLAIN":
		var e encoder
		e.long(string(response))
		d := decoder{b: e.b}
		t := d.table(0)
		user, _ = t.get("LOGIN").(string)
		password, _ = t.get("PASSWORD").(string)
		if d.err != nil {
			return connectionError(codeSyntaxError, "a malformed response for the mechanism AMQPLAIN")
		}
	default:
		return connectionError(codeCommandInvalid, "unknown authentication mechanism '%s'; use PLAIN or AMQPLAIN", mechanism)
	}
	want, ok := c.srv.cfg.Users[user]
	if !ok || !sameSecret(want, password) {
		e := connectionError(codeAccessRefused, "Login was refused using authentication mechanism %s. For details see the broker logfile.", mechanism)
		c.srv.cfg.Logger.Warn("login refused", "user", user, "mechanism", mechanism)
		if !c.authNotify {
			return errors.New(e.text) // such a client takes a closed socket for it
		}
		return e
	}
	c.user = user
	return nil
}

// expect reads the method that has to come next while the connection is opened.
func (c *conn) expect(class, method uint16) (*decoder, error) {
	typ, channel, payload, err := c.readFrame()
	if err != nil {
		return nil, err
	}
	d := &decoder{b: payload}
	gotClass, gotMethod := d.u16(), d.u16()
	if typ == frameMethod && gotClass == 10 && gotMethod == 50 { // it changed its mind
		c.send(0, 10, 51, nil)
		return nil, io.EOF
	}
	if typ != frameMethod || channel != 0 || gotClass != class || gotMethod != method || d.err != nil {
		return nil, connectionError(codeCommandInvalid, "a frame of type %d with method %d.%d where %d.%d was expected", typ, gotClass, gotMethod, class, method)
	}
	return d, nil
}
