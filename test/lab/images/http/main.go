// SPDX-License-Identifier: Apache-2.0

// What tests run in the pods of the lab: a web server that answers with its host's name, and a client.
// Static, with a resolver of its own: it needs nothing else in its image.
package main

import (
	"crypto/tls"
	"crypto/x509"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"
)

const usage = `usage: http serve [-listen ADDRESS]
       http get [-ca FILE] [-token FILE] [-timeout DURATION] URL`

func main() {
	if len(os.Args) < 2 {
		fail(usage)
	}
	var err error
	switch os.Args[1] {
	case "serve":
		err = serve(os.Args[2:])
	case "get":
		err = get(os.Args[2:])
	default:
		fail(usage)
	}
	if err != nil {
		fail(err)
	}
}

// serve answers every request with the host's name, and logs it.
func serve(arguments []string) error {
	flags := flag.NewFlagSet("serve", flag.ExitOnError)
	listen := flags.String("listen", ":8080", "where")
	flags.Parse(arguments)
	name, err := os.Hostname()
	if err != nil {
		return err
	}
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fmt.Println(r.RemoteAddr, r.Method, r.URL.Path)
		fmt.Fprintln(w, name)
	})
	fmt.Println(name, "listens on", *listen)
	return http.ListenAndServe(*listen, nil)
}

// get writes the answer's body; an answer other than 2xx is a failure. Every call is a connection of
// its own, so that a service chooses its endpoint anew.
func get(arguments []string) error {
	flags := flag.NewFlagSet("get", flag.ExitOnError)
	ca := flags.String("ca", "", "file with the authorities that the server's certificate is held to")
	token := flags.String("token", "", "file with a bearer token")
	timeout := flags.Duration("timeout", 5*time.Second, "for everything")
	flags.Parse(arguments)

	request, err := http.NewRequest(http.MethodGet, flags.Arg(0), nil)
	if err != nil {
		return err
	}
	if *token != "" {
		value, err := os.ReadFile(*token)
		if err != nil {
			return err
		}
		request.Header.Set("Authorization", "Bearer "+string(value))
	}
	configuration := &tls.Config{}
	if *ca != "" {
		pem, err := os.ReadFile(*ca)
		if err != nil {
			return err
		}
		configuration.RootCAs = x509.NewCertPool()
		if !configuration.RootCAs.AppendCertsFromPEM(pem) {
			return fmt.Errorf("%s: no certificate", *ca)
		}
	}
	client := http.Client{
		Timeout:   *timeout,
		Transport: &http.Transport{TLSClientConfig: configuration},
	}
	answer, err := client.Do(request)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	if _, err := io.Copy(os.Stdout, answer.Body); err != nil {
		return err
	}
	if answer.StatusCode/100 != 2 {
		return fmt.Errorf("%s", answer.Status)
	}
	return nil
}

func fail(why interface{}) {
	fmt.Fprintln(os.Stderr, why)
	os.Exit(1)
}
