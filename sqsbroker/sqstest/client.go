package sqstest

import (
	"bytes"
	"io"
	"net/http"
)

// wholeBodies hands the transport request bodies that it may read at any time.
//
// smithy-go (v1.28.8) closes a request's body as soon as the answer is there. A
// transport that has yet to look whether more of the body follows is then told
// io.EOF as an error, and closes the connection while the answer is being read.
// On an endpoint as quick as this one that hits one call in some thousands; the
// client's retry mends it, but a receive has lost its messages to their lease by
// then.
type wholeBodies struct{ *http.Client }

func (c wholeBodies) Do(req *http.Request) (*http.Response, error) {
	if req.Body != nil {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			return nil, err
		}
		req.Body = io.NopCloser(bytes.NewReader(body))
	}
	return c.Client.Do(req)
}
