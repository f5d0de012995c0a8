package bench

import (
	"bytes"
	"errors"
	"os"
	"strconv"
	"time"
)

// busy notes how much processor time all programs and this one have used, where Linux tells.
type busy struct {
	at       time.Time
	all, own float64 // seconds
	known    bool
}

// ticks is how many units of time a second has in /proc, on every platform that Go supports.
const ticks = 100

func busyNow() busy {
	b := busy{at: time.Now()}
	all, err1 := busyFields("/proc/stat", "cpu ", 0, 8)
	own, err2 := busyFields("/proc/self/stat", ") ", 11, 15) // after the program's name: user and system time, and that of children
	if b.known = err1 == nil && err2 == nil; b.known {
		b.all = (all[0] + all[1] + all[2] + all[5] + all[6] + all[7]) / ticks // without idle and waiting, with what a hypervisor took
		b.own = (own[0] + own[1] + own[2] + own[3]) / ticks
	}
	return b
}

// busyFields returns the numbers lo to hi of those in the first line of a file behind the last occurrence of mark.
func busyFields(path, mark string, lo, hi int) ([]float64, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	line, _, _ := bytes.Cut(data, []byte("\n"))
	at := bytes.LastIndex(line, []byte(mark))
	fields := bytes.Fields(line[max(at, 0):])
	if at < 0 || len(fields) <= hi {
		return nil, errors.New("unknown format")
	}
	numbers := make([]float64, hi-lo)
	for i := range numbers {
		if numbers[i], err = strconv.ParseFloat(string(fields[1+lo+i]), 64); err != nil {
			return nil, err
		}
	}
	return numbers, nil
}

// others returns how many cores were kept busy by other programs since b, nil where nobody knows.
func (b busy) others() *float64 {
	now := busyNow()
	wall := now.at.Sub(b.at).Seconds()
	if !b.known || !now.known || wall <= 0 {
		return nil
	}
	cores := rounded(max(0, now.all-b.all-(now.own-b.own))/wall, 2)
	return &cores
}
