// SPDX-License-Identifier: MIT

// The server with Go's crypto/tls: a goroutine a connection, on one thread. Go chooses the suite of
// TLS 1.3 by itself: the load offers one only. It raises the limit of descriptors, and sets
// TCP_NODELAY, by itself too.
package main

import (
	"crypto/tls"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"
)

const echoBufferSize = 16384

func echo(peer *tls.Conn) {
	buffer := make([]byte, echoBufferSize)
	for {
		count, err := peer.Read(buffer)
		if err != nil {
			return
		}
		if _, err = peer.Write(buffer[:count]); err != nil {
			return
		}
	}
}

func sink(peer *tls.Conn, size int) {
	buffer := make([]byte, size)
	for {
		if _, err := peer.Read(buffer); err != nil {
			return
		}
	}
}

func source(peer *tls.Conn, size int) {
	buffer := make([]byte, size)
	for {
		if _, err := peer.Write(buffer); err != nil {
			return
		}
	}
}

func serve(peer *tls.Conn, work string, size int) {
	defer peer.Close() // with close_notify
	if peer.Handshake() != nil {
		return
	}
	switch work {
	case "echo":
		echo(peer)
	case "sink":
		sink(peer, size)
	case "source":
		source(peer, size)
	case "both":
		go sink(peer, size)
		source(peer, size)
	}
}

func makeConfig(cert, key string) (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(cert, key)
	return &tls.Config{
		Certificates:     []tls.Certificate{pair},
		MinVersion:       tls.VersionTLS12,
		CurvePreferences: []tls.CurveID{tls.X25519},
		CipherSuites:     []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256},
		// Records as long as everybody else's, from the first byte on.
		DynamicRecordSizingDisabled: true,
	}, err
}

func leaveWhenTold() {
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGTERM)
	<-told
	os.Exit(0)
}

func main() {
	cert := flag.String("cert", "", "certificate chain")
	key := flag.String("key", "", "its key")
	work := flag.String("work", "echo", "echo, sink, source or both")
	size := flag.Int("size", 65536, "bytes of a read of sink and a write of source")
	port := flag.Int("port", 0, "0: any")
	flag.Parse()
	runtime.GOMAXPROCS(1)
	config, err := makeConfig(*cert, *key)
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp4", fmt.Sprintf("127.0.0.1:%d", *port))
	if err != nil {
		log.Fatal(err)
	}
	go leaveWhenTold()
	fmt.Printf("listening on %s\n", listener.Addr())
	for {
		socket, err := listener.Accept()
		if err != nil {
			time.Sleep(10 * time.Millisecond) // out of descriptors
			continue
		}
		go serve(tls.Server(socket, config), *work, *size)
	}
}
