// SPDX-License-Identifier: Apache-2.0

// A stand-in for flanneld, for the lab only: flannel is in no Debian package, and the lab reaches
// no registry. It keeps flannel's contract as of 0.21.5 and later: its flags as far as we use them,
// what it writes into etcd and subnet.env, what it makes of other machines' leases, and which
// errors end it. The vxlan backend over IPv4 is all there is.
//
// https://github.com/flannel-io/flannel/blob/master/Documentation/configuration.md
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The standard logger is etcd's: its client takes it over.
var logger = log.New(os.Stderr, "", log.Ltime|log.Lmicroseconds)

type options struct {
	etcd               etcdOptions
	iface, publicIP    string
	subnetFile         string
	ipMasq, forward    bool
	renewMarginMinutes int
	healthzIP          string
	healthzPort        int
	resyncSeconds      int
}

func parseFlags() options {
	var o options

	flag.StringVar(&o.etcd.endpoints, "etcd-endpoints", "http://127.0.0.1:2379", "")
	flag.StringVar(&o.etcd.prefix, "etcd-prefix", "/coreos.com/network", "")
	flag.StringVar(&o.etcd.keyFile, "etcd-keyfile", "", "")
	flag.StringVar(&o.etcd.certFile, "etcd-certfile", "", "")
	flag.StringVar(&o.etcd.caFile, "etcd-cafile", "", "")
	flag.StringVar(&o.iface, "iface", "", "")
	flag.StringVar(&o.publicIP, "public-ip", "", "")
	flag.StringVar(&o.subnetFile, "subnet-file", "/run/flannel/subnet.env", "")
	flag.BoolVar(&o.ipMasq, "ip-masq", false, "")
	flag.BoolVar(&o.forward, "iptables-forward-rules", true, "")
	flag.IntVar(&o.renewMarginMinutes, "subnet-lease-renew-margin", 60, "")
	flag.StringVar(&o.healthzIP, "healthz-ip", "0.0.0.0", "")
	flag.IntVar(&o.healthzPort, "healthz-port", 0, "")
	flag.IntVar(&o.resyncSeconds, "iptables-resync", 5, "")
	flag.Parse()
	return o
}

func main() {
	logger.Print("this is the lab's stand-in for flanneld, not flannel itself")

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()

	err := run(ctx, parseFlags())
	// The lease stays in etcd when we are told to stop, and a revoked one is no failure:
	// flannel exits with 0 on both.
	if err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, errLeaseRevoked) {
		logger.Fatal(err)
	}
	logger.Printf("exiting: %v", err)
}

func run(ctx context.Context, o options) error {
	if o.renewMarginMinutes <= 0 || o.renewMarginMinutes >= 24*60 {
		return errors.New("invalid subnet-lease-renew-margin option, out of acceptable range")
	}
	previous := readSubnetFile(o.subnetFile)

	reg, err := newRegistry(o.etcd)
	if err != nil {
		return fmt.Errorf("failed to create etcd client: %w", err)
	}
	defer reg.client.Close()

	if o.healthzPort > 0 {
		if err := serveHealthz(net.JoinHostPort(o.healthzIP, strconv.Itoa(o.healthzPort))); err != nil {
			return err
		}
	}

	cfg, err := waitForConfig(ctx, reg)
	if err != nil {
		return err
	}
	// Without br_netfilter services break silently; flannel refuses to start.
	if _, err := os.Stat("/proc/sys/net/bridge/bridge-nf-call-iptables"); err != nil {
		return fmt.Errorf("failed to check br_netfilter: %w", err)
	}

	iface, addr, err := findInterface(o.iface, o.publicIP)
	if err != nil {
		return fmt.Errorf("failed to find an interface to use: %w", err)
	}
	logger.Printf("using interface %s with address %s", iface.Name, addr)

	dev, err := ensureDevice(cfg, iface, addr)
	if err != nil {
		return fmt.Errorf("error registering network: %w", err)
	}
	own, err := reg.acquire(ctx, cfg, leaseAttrs{
		PublicIP:    addr,
		BackendType: "vxlan",
		BackendData: vxlanData{VNI: cfg.Backend.VNI, VtepMAC: dev.mac()},
	}, previous)
	if err != nil {
		return fmt.Errorf("error registering network: failed to acquire lease: %w", err)
	}
	if err := dev.configure(own.subnet, cfg.Network); err != nil {
		return fmt.Errorf("error registering network: %w", err)
	}

	rules := newRules(cfg.Network, own.subnet, o.ipMasq, o.forward)
	if err := rules.ensure(); err != nil {
		return err
	}
	defer rules.remove()
	go rules.keep(ctx, time.Duration(o.resyncSeconds)*time.Second)

	if err := writeSubnetFile(o.subnetFile, cfg.Network, own.subnet, dev.mtu(), o.ipMasq); err != nil {
		logger.Printf("failed to write subnet file: %v", err) // flannel goes on, too
	} else {
		logger.Printf("wrote subnet file to %s: %s", o.subnetFile, own.subnet)
	}

	go reg.renew(ctx, own, time.Duration(o.renewMarginMinutes)*time.Minute)
	return reg.watch(ctx, own.subnet, dev)
}

// waitForConfig asks every second until an administrator, or our master, has written the
// configuration.
func waitForConfig(ctx context.Context, reg *registry) (*networkConfig, error) {
	for {
		cfg, err := reg.config(ctx)
		if err == nil {
			return cfg, nil
		}
		logger.Printf("couldn't fetch network config: %v", err)
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

// findInterface takes an interface's name or one of its addresses. The address that other machines
// send to is, in this order, --public-ip, the address that named the interface, and the interface's
// first one.
func findInterface(wanted, publicIP string) (*net.Interface, netip.Addr, error) {
	var public netip.Addr
	var err error

	if publicIP != "" {
		if public, err = netip.ParseAddr(publicIP); err != nil {
			return nil, public, err
		}
	}
	if wanted == "" {
		if wanted = publicIP; wanted == "" {
			return nil, public, errors.New("the stand-in wants --iface or --public-ip")
		}
	}

	ifaces, err := net.Interfaces()
	if err != nil {
		return nil, public, err
	}
	for i := range ifaces {
		for _, addr := range ipv4Addrs(&ifaces[i]) {
			if wanted != ifaces[i].Name && wanted != addr.String() {
				continue
			}
			if public.IsValid() {
				addr = public
			}
			return &ifaces[i], addr, nil
		}
	}
	return nil, public, fmt.Errorf("no interface matches %q", wanted)
}

func ipv4Addrs(iface *net.Interface) (found []netip.Addr) {
	addrs, err := iface.Addrs()
	if err != nil {
		return nil // it went away since it was listed
	}
	for _, a := range addrs {
		if p, err := netip.ParsePrefix(a.String()); err == nil && p.Addr().Is4() {
			found = append(found, p.Addr())
		}
	}
	return found
}

// readSubnetFile gives the subnet that this machine had before, or the zero prefix.
func readSubnetFile(path string) netip.Prefix {
	content, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		logger.Printf("couldn't fetch previous subnet: %v", err)
	}
	for _, line := range strings.Split(string(content), "\n") {
		if value := strings.TrimPrefix(line, "FLANNEL_SUBNET="); value != line {
			p, err := netip.ParsePrefix(value)
			if err != nil {
				logger.Printf("couldn't parse previous subnet in %s: %v", path, err)
			}
			return p.Masked()
		}
	}
	return netip.Prefix{}
}

// writeSubnetFile puts down the gateway address docker's bridge is to have: the first one of the
// subnet.
func writeSubnetFile(path string, network, subnet netip.Prefix, mtu int, ipMasq bool) error {
	content := fmt.Sprintf("FLANNEL_NETWORK=%s\n", network) +
		fmt.Sprintf("FLANNEL_SUBNET=%s/%d\n", subnet.Addr().Next(), subnet.Bits()) +
		fmt.Sprintf("FLANNEL_MTU=%d\nFLANNEL_IPMASQ=%t\n", mtu, ipMasq)

	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	temporary := filepath.Join(filepath.Dir(path), "."+filepath.Base(path))
	if err := os.WriteFile(temporary, []byte(content), 0o644); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}

func serveHealthz(address string) error {
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return fmt.Errorf("start healthz server: %w", err)
	}
	http.HandleFunc("/healthz", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprint(w, "flanneld is running")
	})
	go func() { logger.Fatal(http.Serve(listener, nil)) }()
	return nil
}
