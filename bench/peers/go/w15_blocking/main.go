// W15 the twin of examples/blocking1000: 1000 goroutines block for a second in a system call, all at
// once; then the threads that are left, every two seconds. Prints what that prints.
package main

import (
	"anchor/lib"
	"flag"
	"fmt"
	"sync"
	"syscall"
	"time"
)

func main() {
	calls := flag.Int("calls", 1000, "goroutines")
	watch := flag.Int("watch", 10, "seconds to watch")
	flag.Parse()
	var done sync.WaitGroup
	done.Add(*calls)
	begin := time.Now()
	for i := 0; i < *calls; i++ {
		go func() {
			t := syscall.Timespec{Sec: 1}
			for syscall.Nanosleep(&t, &t) == syscall.EINTR {
			}
			done.Done()
		}()
	}
	done.Wait()
	fmt.Printf("done after %.1f s; %d threads\n", time.Since(begin).Seconds(), lib.Threads())
	begin = time.Now()
	for s := 0; s <= *watch; s += 2 {
		time.Sleep(time.Until(begin.Add(time.Duration(s) * time.Second)))
		fmt.Printf("%d s later: %d threads\n", s, lib.Threads())
	}
}
