//go:build !race

package natsbroker_test

const raceEnabled = false
