package tool

import (
	"math/bits"
	"time"
)

// Each power of two of nanoseconds has this many buckets: a value is off by less than
// one part in it.
const (
	stepBits = 10
	steps    = 1 << stepBits
)

// histogram counts times in buckets of equal relative width.
type histogram struct {
	count   uint64
	buckets [(64 - stepBits + 1) * steps]uint32
}

func (h *histogram) add(t time.Duration) {
	h.count++
	h.buckets[bucketOf(uint64(t))]++
}

func bucketOf(ns uint64) int {
	power := bits.Len64(ns) - stepBits - 1
	if power < 0 {
		return int(ns)
	}
	return power<<stepBits + int(ns>>power)
}

// middleOf is the time that stands for a bucket.
func middleOf(bucket int) time.Duration {
	power := bucket>>stepBits - 1
	if power < 0 {
		return time.Duration(bucket)
	}
	first := uint64(bucket&(steps-1)|steps) << power
	return time.Duration(first + 1<<power/2)
}

// quantile is the time that a share q of all did not exceed; 0 of none.
func (h *histogram) quantile(q float64) time.Duration {
	rank := uint64(q * float64(h.count))
	var seen uint64
	for i, n := range h.buckets {
		seen += uint64(n)
		if seen > rank {
			return middleOf(i)
		}
	}
	return 0
}
