package sqstest

import (
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"strconv"

	"github.com/candidmq/candidmq/internal/queue"
)

// handleSize is the size of a receipt handle before base64: the queue's id, the
// receipt, and a checksum that tells a handle from a made-up one.
const handleSize = 8 + 8 + 4 + 4

// newHandle writes a receipt as the opaque string that clients get.
func newHandle(queueID uint64, r queue.Receipt) string {
	var b [handleSize]byte
	binary.BigEndian.PutUint64(b[:], queueID)
	binary.BigEndian.PutUint64(b[8:], r.Seq)
	binary.BigEndian.PutUint32(b[16:], r.Receive)
	binary.BigEndian.PutUint32(b[20:], crc32.ChecksumIEEE(b[:20]))
	return base64.StdEncoding.EncodeToString(b[:])
}

// readHandle reads a handle of the queue; ok is false for one that is malformed
// or another queue's.
func readHandle(queueID uint64, handle string) (r queue.Receipt, ok bool) {
	b, err := base64.StdEncoding.Strict().DecodeString(handle)
	if err != nil || len(b) != handleSize {
		return r, false
	}
	if crc32.ChecksumIEEE(b[:20]) != binary.BigEndian.Uint32(b[20:]) {
		return r, false
	}
	r = queue.Receipt{Seq: binary.BigEndian.Uint64(b[8:]), Receive: binary.BigEndian.Uint32(b[16:])}
	return r, binary.BigEndian.Uint64(b) == queueID
}

// sequenceNumber writes a message's number as SQS does: 20 digits, larger than
// any uint64, not consecutive, rising.
func sequenceNumber(seq uint64) string {
	const first, step = 8_849_496_460_467_696_128, 256
	return "1" + strconv.FormatUint(first+step*seq, 10)
}
