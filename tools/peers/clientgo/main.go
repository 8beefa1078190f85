// The client-go of tests/clients/test_go_client.py: informers, protobuf writes and leader election against a live API server.
//
// It prints one JSON object per line and does what its first argument says until its standard input ends.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"sync"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
)

type line map[string]any

var printing sync.Mutex

func say(what line) {
	printing.Lock()
	defer printing.Unlock()
	if err := json.NewEncoder(os.Stdout).Encode(what); err != nil {
		klog.Fatal(err)
	}
}

func main() {
	commands := map[string]func(context.Context, *rest.Config, string, []string) error{
		"inform": inform,
		"write":  write,
		"lead":   lead,
	}
	if len(os.Args) < 3 || commands[os.Args[1]] == nil {
		fmt.Fprintln(os.Stderr, "usage: clientgo inform|write|lead NAMESPACE [ARGUMENT...]")
		os.Exit(2)
	}
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err != nil {
		klog.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	if err := commands[os.Args[1]](ctx, config, os.Args[2], os.Args[3:]); err != nil {
		klog.Fatal(err)
	}
}
