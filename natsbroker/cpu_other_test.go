//go:build !unix

package natsbroker_test

import "time"

func cpuTime() time.Duration { return 0 }
