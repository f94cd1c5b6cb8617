package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
)

// serve is a web server. / names the client's address; /bytes/N is N bytes that no
// compression or repetition could fake, with their SHA-256 as a trailer.
func serve(addr string) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "hello %s\n", r.RemoteAddr)
	})
	mux.HandleFunc("GET /bytes/{n}", func(w http.ResponseWriter, r *http.Request) {
		n, err := strconv.ParseInt(r.PathValue("n"), 10, 64)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		w.Header().Set("Trailer", "Sha256")
		sum := sha256.New()
		source := rand.NewChaCha8([32]byte{1})
		if _, err := io.CopyBuffer(onlyWriter{io.MultiWriter(w, sum)}, io.LimitReader(source, n), make([]byte, 256<<10)); err != nil {
			return
		}
		w.Header().Set("Sha256", hex.EncodeToString(sum.Sum(nil)))
	})
	ln, err := net.Listen("tcp4", addr)
	if err != nil {
		return err
	}
	fmt.Println("serving")
	return http.Serve(ln, mux)
}

// onlyWriter hides what else a writer can do, so that the buffer's size counts.
type onlyWriter struct{ io.Writer }

// listen holds a TCP port until it is told to end.
func listen(addr string) error {
	ln, err := net.Listen("tcp4", addr)
	if err != nil {
		return err
	}
	defer ln.Close()
	fmt.Println("listening")
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, os.Interrupt)
	<-stop
	return nil
}
