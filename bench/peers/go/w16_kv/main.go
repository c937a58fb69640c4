// W16 the twin of examples/kv: a key-value server that speaks as much of RESP2 as redis-benchmark
// needs (PING GET SET INCR DEL MSET CONFIG COMMAND), in arrays, pipelined. A goroutine for each
// connection, bufio on either side, flushed when nothing is left to carry out; 64 maps, a mutex each.
// -addr -procs -loops as in w12_echo. Runs until killed or stdin closes.
package main

import (
	"anchor/lib"
	"bufio"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"
)

type shard struct {
	lock sync.Mutex
	of   map[string][]byte
}

var shards [64]shard
var seed = maphash.MakeSeed()

func shardOf(key []byte) *shard {
	return &shards[maphash.Bytes(seed, key)%uint64(len(shards))]
}

var errProtocol = errors.New("protocol error")

// The number of a line like "*3\r\n".
func header(in *bufio.Reader, kind byte) (int, error) {
	line, err := in.ReadSlice('\n')
	if err != nil {
		return 0, err
	}
	if len(line) < 4 || line[0] != kind {
		return 0, errProtocol
	}
	return strconv.Atoi(string(line[1 : len(line)-2]))
}

func request(in *bufio.Reader, words [][]byte) ([][]byte, error) {
	n, err := header(in, '*')
	words = words[:0]
	for ; n > 0 && err == nil; n-- {
		var size int
		size, err = header(in, '$')
		if err != nil || size < 0 || size > 64<<20 {
			return nil, errProtocol
		}
		word := make([]byte, size+2)
		_, err = io.ReadFull(in, word)
		words = append(words, word[:size])
	}
	return words, err
}

func set(key, value []byte) {
	s := shardOf(key)
	s.lock.Lock()
	s.of[string(key)] = value
	s.lock.Unlock()
}

func carryOut(words [][]byte, out *bufio.Writer) {
	name := strings.ToUpper(string(words[0]))
	switch {
	case name == "PING":
		out.WriteString("+PONG\r\n")
	case name == "GET" && len(words) == 2:
		s := shardOf(words[1])
		s.lock.Lock()
		value, ok := s.of[string(words[1])]
		s.lock.Unlock()
		if !ok {
			out.WriteString("$-1\r\n")
			return
		}
		out.WriteByte('$')
		out.WriteString(strconv.Itoa(len(value)))
		out.WriteString("\r\n")
		out.Write(value)
		out.WriteString("\r\n")
	case name == "SET" && len(words) == 3:
		set(words[1], words[2])
		out.WriteString("+OK\r\n")
	case name == "MSET" && len(words)%2 == 1:
		for i := 1; i < len(words); i += 2 {
			set(words[i], words[i+1])
		}
		out.WriteString("+OK\r\n")
	case name == "INCR" && len(words) == 2:
		s := shardOf(words[1])
		s.lock.Lock()
		n, err := int64(0), error(nil)
		if value, ok := s.of[string(words[1])]; ok {
			n, err = strconv.ParseInt(string(value), 10, 64)
		}
		if err == nil {
			n++
			s.of[string(words[1])] = strconv.AppendInt(nil, n, 10)
		}
		s.lock.Unlock()
		if err != nil {
			out.WriteString("-ERR value is not an integer or out of range\r\n")
			return
		}
		fmt.Fprintf(out, ":%d\r\n", n)
	case name == "DEL" && len(words) == 2:
		s := shardOf(words[1])
		s.lock.Lock()
		before := len(s.of)
		delete(s.of, string(words[1]))
		removed := before - len(s.of)
		s.lock.Unlock()
		fmt.Fprintf(out, ":%d\r\n", removed)
	case name == "CONFIG" || name == "COMMAND":
		out.WriteString("*0\r\n")
	default:
		out.WriteString("-ERR unknown command\r\n")
	}
}

func serve(c net.Conn) {
	defer c.Close()
	in, out := bufio.NewReaderSize(c, 16<<10), bufio.NewWriterSize(c, 16<<10)
	var words [][]byte
	var err error
	for {
		if words, err = request(in, words); err != nil || len(words) == 0 {
			return
		}
		carryOut(words, out)
		if in.Buffered() == 0 && out.Flush() != nil {
			return
		}
	}
}

func main() {
	for i := range shards {
		shards[i].of = map[string][]byte{}
	}
	lib.Serve("127.0.0.1:7779", serve)
}
