package cluster

import (
	"slices"
	"testing"
	"time"
)

// begun is when the made-up histories begin.
var begun = time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)

// got is the delivery of message n, a second after the one before, leased for
// ten.
func got(n, attempt int) func(int) event {
	return func(second int) event {
		at := begun.Add(time.Duration(second) * time.Second)
		return event{message: message{n: n}, attempt: attempt, at: at, leaseEnd: at.Add(10 * time.Second)}
	}
}

func deleted(n int) func(int) event {
	return func(second int) event {
		return event{message: message{n: n}, deleted: true, at: begun.Add(time.Duration(second) * time.Second)}
	}
}

// by is the same event at another receiver.
func by(receiver int, e func(int) event) func(int) event {
	return func(second int) event {
		made := e(second)
		made.receiver = receiver
		return made
	}
}

func pause(seconds int) []func(int) event { return make([]func(int) event, seconds) }

func TestJudge(t *testing.T) {
	type events = []func(int) event
	tests := []struct {
		name   string
		stored []int // nil: 1, 2, 3
		strict bool
		fault  int // its second, and half; 0: none
		heal   int // its second, 0: the server was killed
		whole  int // the second in which the cluster was, 0: that of the heal
		events events
		want   verdict
	}{
		{name: "as it should be", strict: true, events: events{got(1, 1), deleted(1), got(2, 1), deleted(2), got(3, 1), deleted(3)}},
		{
			name: "acknowledged and not stored", stored: []int{1, 3}, events: events{got(1, 1), got(2, 1), got(3, 1)},
			want: verdict{lost: []string{"0-2 is not in the stream"}},
		},
		{
			name: "acknowledged and not delivered", events: events{got(1, 1), got(3, 1)},
			want: verdict{lost: []string{"0-2 was never delivered by c"}},
		},
		{
			name: "stored twice", stored: []int{1, 2, 2, 3}, events: events{got(1, 1), got(2, 1), got(3, 1)},
			want: verdict{duplicates: []string{"0-2 is stored 2 times: as 2 at 00:00:02.000, as 3 at 00:00:03.000"}},
		},
		{
			name: "stored in another order", stored: []int{1, 3, 2}, events: events{got(1, 1), got(2, 1), got(3, 1)},
			want: verdict{disorder: []string{"0-2 is stored after 3"}},
		},
		{
			name: "delivered again after the delete", events: events{got(1, 1), deleted(1), got(1, 2), got(2, 1), got(3, 1)},
			want: verdict{repeated: 1, early: 1, duplicates: []string{"0-1, attempt 2, came to c 1s after its delete was confirmed"}},
		},
		{
			name: "forgotten in a fault", fault: 1, events: events{got(1, 1), deleted(1), got(1, 2), got(2, 1), got(3, 1)},
			want: verdict{repeated: 1, early: 1, fresh: 1, duplicates: []string{"0-1, attempt 2, came to c 1s after its delete was confirmed"}},
		},
		{
			name: "deleted before a fault", fault: 3,
			events: events{got(1, 1), deleted(1), got(2, 1), deleted(2), got(3, 1), deleted(3)},
			want:   verdict{fresh: 1},
		},
		{
			name: "sent by a leader that was paused", strict: true, fault: 1, heal: 5,
			events: events{got(1, 1), deleted(1), got(2, 1), deleted(2), got(3, 1), got(1, 1)},
			want:   verdict{repeated: 1, early: 1, stale: 1, fresh: 1},
		},
		{
			name: "sent a while after the heal", fault: 1, heal: 5, whole: 60,
			events: slices.Concat(events{got(1, 1), deleted(1), got(2, 1), got(3, 1)}, pause(11), events{got(1, 1)}),
			want:   verdict{repeated: 1, stale: 1, fresh: 1},
		},
		{
			name: "sent long after the heal, while a replica was repaired", fault: 1, heal: 5, whole: 60,
			events: slices.Concat(events{got(1, 1), deleted(1), got(2, 1), got(3, 1)}, pause(21), events{got(1, 1)}),
			want:   verdict{repeated: 1, fresh: 1, duplicates: []string{"0-1, attempt 1, came to c 24s after its delete was confirmed"}},
		},
		{
			name: "forgotten by the leader after one that was paused", fault: 1, heal: 9,
			events: events{got(1, 1), deleted(1), got(1, 1), deleted(2), got(2, 1), got(3, 1)},
			want:   verdict{repeated: 1, early: 1, fresh: 1, duplicates: []string{"0-1, attempt 1, came to c 1s after its delete was confirmed"}},
		},
		{
			name: "forgotten while one that was paused comes back", fault: 1, heal: 2,
			events: events{got(1, 1), deleted(1), got(1, 2), got(2, 1), got(3, 1)},
			want:   verdict{repeated: 1, early: 1, fresh: 1, duplicates: []string{"0-1, attempt 2, came to c 1s after its delete was confirmed"}},
		},
		{
			name:   "deleted when it may have been on its way again",
			events: slices.Concat(events{got(1, 1)}, pause(9), events{deleted(1), got(1, 2), got(2, 1), got(3, 1)}),
			want:   verdict{repeated: 1, crossed: 1},
		},
		{
			name: "delivered again after the lease", strict: true,
			events: slices.Concat(events{got(1, 1)}, pause(10), events{got(1, 2), deleted(1), got(2, 1), got(3, 1)}),
			want:   verdict{repeated: 1},
		},
		{
			name: "delivered again within the lease", strict: true,
			events: events{got(1, 1), got(1, 2), deleted(1), got(2, 1), got(3, 1)},
			want:   verdict{repeated: 1, early: 1},
		},
		{
			name: "strict order broken", strict: true, events: events{got(1, 1), got(3, 1), got(2, 1)},
			want: verdict{disorder: []string{"0-2, attempt 1, came to c after 3"}},
		},
		{
			name: "strict order broken by a redelivery", strict: true, events: events{got(1, 1), got(2, 1), got(1, 2), got(3, 1)},
			want: verdict{repeated: 1, early: 1, disorder: []string{"0-1, attempt 2, came to c after 2"}},
		},
		{
			name: "redelivery out of order where that is not promised", events: events{got(1, 1), got(2, 1), got(1, 2), got(3, 1)},
			want: verdict{repeated: 1, early: 1},
		},
		{
			name: "first deliveries out of order", events: events{got(1, 1), got(3, 1), got(2, 1)},
			want: verdict{disorder: []string{"0-2 came to receiver 0 of c for the first time after 3"}},
		},
		{name: "first deliveries to two receivers", events: events{got(1, 1), by(1, got(3, 1)), got(2, 1)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			h := history{acked: map[message]bool{{n: 1}: true, {n: 2}: true, {n: 3}: true}}
			if tt.stored == nil {
				tt.stored = []int{1, 2, 3}
			}
			for i, n := range tt.stored {
				h.stored = append(h.stored, entry{message{n: n}, uint64(i + 1), begun.Add(time.Duration(i+1) * time.Second)})
			}
			l := &consumerLog{name: "c", keys: []int{0}, strict: tt.strict}
			for second, e := range tt.events {
				if e != nil {
					l.add(e(second))
				}
			}
			h.logs = append(h.logs, l)
			if tt.fault > 0 {
				at := begun.Add(time.Duration(tt.fault)*time.Second + time.Second/2)
				h.faults = []window{{began: at}}
				if tt.heal > 0 {
					h.faults[0].healed = begun.Add(time.Duration(tt.heal) * time.Second)
					h.faults[0].whole = begun.Add(time.Duration(max(tt.heal, tt.whole)) * time.Second)
				}
			}
			v := judge(h)
			if !slices.Equal(v.lost, tt.want.lost) || !slices.Equal(v.duplicates, tt.want.duplicates) || !slices.Equal(v.disorder, tt.want.disorder) {
				t.Errorf("found %+v, want %+v", v, tt.want)
			}
			if v.repeated != tt.want.repeated || v.early != tt.want.early || v.crossed != tt.want.crossed || v.stale != tt.want.stale || v.fresh != tt.want.fresh {
				t.Errorf("repeated %d, early %d, crossed %d, stale %d, fresh %d, want %d, %d, %d, %d, %d", v.repeated, v.early, v.crossed, v.stale, v.fresh,
					tt.want.repeated, tt.want.early, tt.want.crossed, tt.want.stale, tt.want.fresh)
			}
			if v.ok() != tt.want.ok() {
				t.Errorf("ok = %v", v.ok())
			}
		})
	}
}
