// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand"
	"net/netip"
	"os"
	"path"
	"strings"
	"time"

	"go.etcd.io/etcd/clientv3"
)

const (
	leaseTTL   = 24 * time.Hour
	rpcTimeout = 10 * time.Second
	candidates = 100 // flannel picks at random among the first free subnets
)

var (
	errLeaseRevoked = errors.New("lease has been revoked")
	errSubnetExists = errors.New("subnet already exists")
)

type etcdOptions struct {
	endpoints, prefix, keyFile, certFile, caFile string
}

// networkConfig is the value of PREFIX/config.
type networkConfig struct {
	EnableIPv6           bool
	Network              netip.Prefix
	SubnetMin, SubnetMax netip.Addr
	SubnetLen            int
	Backend              struct {
		Type           string
		VNI, Port, MTU int
		DirectRouting  bool
	}
}

type vxlanData struct {
	VNI     int
	VtepMAC string
}

// leaseAttrs is the value of PREFIX/subnets/ADDRESS-LENGTH, field by field as flannel writes it.
type leaseAttrs struct {
	PublicIP    netip.Addr
	PublicIPv6  *netip.Addr
	BackendType string    `json:",omitempty"`
	BackendData vxlanData `json:",omitempty"`
}

type lease struct {
	subnet  netip.Prefix
	attrs   leaseAttrs
	expires time.Time
}

type registry struct {
	client *clientv3.Client
	prefix string
}

func newRegistry(o etcdOptions) (*registry, error) {
	var config *tls.Config

	if o.certFile == "" || o.keyFile == "" {
		logger.Print("no certificate provided: connecting to etcd without TLS")
	} else {
		cert, err := tls.LoadX509KeyPair(o.certFile, o.keyFile)
		if err != nil {
			return nil, err
		}
		config = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{cert}}
		if o.caFile != "" {
			pem, err := os.ReadFile(o.caFile)
			if err != nil {
				return nil, err
			}
			config.RootCAs = x509.NewCertPool()
			if !config.RootCAs.AppendCertsFromPEM(pem) {
				return nil, fmt.Errorf("%s: no certificate in it", o.caFile)
			}
		}
	}

	endpoints := strings.Split(o.endpoints, ",")
	client, err := clientv3.New(clientv3.Config{Endpoints: endpoints, TLS: config})
	if err != nil {
		return nil, err
	}
	return &registry{client: client, prefix: o.prefix}, nil
}

func (r *registry) config(ctx context.Context) (*networkConfig, error) {
	ctx, cancel := context.WithTimeout(ctx, rpcTimeout)
	defer cancel()

	resp, err := r.client.Get(ctx, path.Join(r.prefix, "config"))
	if err != nil {
		return nil, err
	}
	if len(resp.Kvs) == 0 {
		return nil, errors.New("flannel config not found in etcd store")
	}
	return parseConfig(resp.Kvs[0].Value)
}

func parseConfig(value []byte) (*networkConfig, error) {
	cfg := &networkConfig{}
	cfg.Backend.VNI = 1
	if err := json.Unmarshal(value, cfg); err != nil {
		return nil, err
	}

	bits := cfg.Network.Bits()
	switch {
	case !cfg.Network.IsValid() || !cfg.Network.Addr().Is4():
		return nil, errors.New("please define a correct Network parameter in the flannel config")
	case cfg.EnableIPv6 || cfg.Backend.Type != "vxlan" || cfg.Backend.DirectRouting:
		return nil, fmt.Errorf("the stand-in has IPv4 over vxlan without DirectRouting, not %s", value)
	case cfg.SubnetLen == 0 && bits > 28:
		return nil, errors.New("network is too small. Minimum useful network prefix is /28")
	case cfg.SubnetLen == 0 && bits <= 22:
		cfg.SubnetLen = 24
	case cfg.SubnetLen == 0:
		cfg.SubnetLen = bits + 2
	case cfg.SubnetLen > 30 || cfg.SubnetLen < bits+2:
		return nil, errors.New("SubnetLen must give at least four subnets, none smaller than a /30")
	}

	// The first subnet is left out: its gateway would look like the network's own address.
	size := uint32(1) << (32 - cfg.SubnetLen)
	first := toInt(cfg.Network.Masked().Addr())
	if !cfg.SubnetMin.IsValid() {
		cfg.SubnetMin = toAddr(first + size)
	}
	if !cfg.SubnetMax.IsValid() {
		cfg.SubnetMax = toAddr(first + uint32(uint64(1)<<(32-bits)-uint64(size)))
	}
	for _, limit := range []netip.Addr{cfg.SubnetMin, cfg.SubnetMax} {
		if !cfg.Network.Contains(limit) || toInt(limit)%size != 0 {
			return nil, fmt.Errorf("%s is not the start of a subnet in the range of the Network", limit)
		}
	}
	return cfg, nil
}

func (cfg *networkConfig) fits(subnet netip.Prefix) bool {
	return subnet.IsValid() && subnet.Bits() == cfg.SubnetLen &&
		!subnet.Addr().Less(cfg.SubnetMin) && !cfg.SubnetMax.Less(subnet.Addr())
}

// leases lists all leases, and the revision that they are of.
func (r *registry) leases(ctx context.Context) (map[netip.Prefix]leaseAttrs, int64, error) {
	ctx, cancel := context.WithTimeout(ctx, rpcTimeout)
	defer cancel()

	resp, err := r.client.Get(ctx, path.Join(r.prefix, "subnets"), clientv3.WithPrefix())
	if err != nil {
		return nil, 0, err
	}
	found := map[netip.Prefix]leaseAttrs{}
	for _, kv := range resp.Kvs {
		subnet, attrs, err := parseLease(kv.Key, kv.Value)
		if err != nil {
			logger.Printf("ignoring bad subnet %s: %v", kv.Key, err)
			continue
		}
		found[subnet] = attrs
	}
	return found, resp.Header.Revision, nil
}

func parseLease(key, value []byte) (netip.Prefix, leaseAttrs, error) {
	var attrs leaseAttrs

	subnet, err := netip.ParsePrefix(strings.Replace(path.Base(string(key)), "-", "/", 1))
	if err == nil && value != nil {
		err = json.Unmarshal(value, &attrs)
	}
	return subnet, attrs, err
}

func (r *registry) subnetKey(subnet netip.Prefix) string {
	return path.Join(r.prefix, "subnets", strings.Replace(subnet.String(), "/", "-", 1))
}

// acquire takes, in this order, the lease that etcd has for our address, the subnet we had before,
// a free one at random.
func (r *registry) acquire(ctx context.Context, cfg *networkConfig, attrs leaseAttrs,
	previous netip.Prefix) (*lease, error) {
	taken, _, err := r.leases(ctx)
	if err != nil {
		return nil, err
	}
	for subnet, other := range taken {
		if other.PublicIP != attrs.PublicIP {
			continue
		}
		if cfg.fits(subnet) {
			logger.Printf("found lease %s for current IP %s, reusing", subnet, attrs.PublicIP)
			return r.put(ctx, subnet, attrs, false)
		}
		logger.Printf("found lease %s for current IP %s, not compatible with current config, deleting",
			subnet, attrs.PublicIP)
		if _, err := r.client.Delete(ctx, r.subnetKey(subnet)); err != nil {
			return nil, err
		}
		delete(taken, subnet)
	}

	if _, exists := taken[previous]; !exists && cfg.fits(previous) {
		logger.Printf("found previously leased subnet %s, reusing", previous)
		return r.put(ctx, previous, attrs, true)
	}
	subnet, err := pickSubnet(cfg, taken)
	if err != nil {
		return nil, err
	}
	return r.put(ctx, subnet, attrs, true)
}

func pickSubnet(cfg *networkConfig, taken map[netip.Prefix]leaseAttrs) (netip.Prefix, error) {
	var free []netip.Prefix

	size := uint64(1) << (32 - cfg.SubnetLen)
	start, last := uint64(toInt(cfg.SubnetMin)), uint64(toInt(cfg.SubnetMax))
	for ; start <= last && len(free) < candidates; start += size {
		subnet := netip.PrefixFrom(toAddr(uint32(start)), cfg.SubnetLen)
		overlaps := false
		for other := range taken {
			overlaps = overlaps || other.Overlaps(subnet)
		}
		if !overlaps {
			free = append(free, subnet)
		}
	}
	if len(free) == 0 {
		return netip.Prefix{}, errors.New("out of subnets")
	}
	random := rand.New(rand.NewSource(time.Now().UnixNano()))
	return free[random.Intn(len(free))], nil
}

// put writes a lease, attached to a new lease of etcd's. One that must be new loses to whoever was
// first.
func (r *registry) put(ctx context.Context, subnet netip.Prefix, attrs leaseAttrs,
	mustBeNew bool) (*lease, error) {
	ctx, cancel := context.WithTimeout(ctx, rpcTimeout)
	defer cancel()

	value, err := json.Marshal(attrs)
	if err != nil {
		return nil, err
	}
	grant, err := r.client.Grant(ctx, int64(leaseTTL.Seconds()))
	if err != nil {
		return nil, err
	}
	key := r.subnetKey(subnet)
	txn := r.client.Txn(ctx)
	if mustBeNew {
		txn = txn.If(clientv3.Compare(clientv3.Version(key), "=", 0))
	}
	resp, err := txn.Then(clientv3.OpPut(key, string(value), clientv3.WithLease(grant.ID))).Commit()
	if err == nil && !resp.Succeeded {
		err = fmt.Errorf("%s: %w", subnet, errSubnetExists)
	}
	if err != nil {
		if _, revokeErr := r.client.Revoke(ctx, grant.ID); revokeErr != nil {
			logger.Printf("revoke unused lease: %v", revokeErr) // it lasts a day, attached to nothing
		}
		return nil, err
	}
	logger.Printf("leased %s until %s", subnet, time.Now().Add(leaseTTL).UTC().Format(time.RFC3339))
	return &lease{subnet, attrs, time.Now().Add(time.Duration(grant.TTL) * time.Second)}, nil
}

func (r *registry) renew(ctx context.Context, own *lease, margin time.Duration) {
	wait := time.Until(own.expires) - margin
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		renewed, err := r.put(ctx, own.subnet, own.attrs, false)
		if err != nil {
			logger.Printf("error renewing lease (trying again in 1 min): %v", err)
			wait = time.Minute
			continue
		}
		wait = time.Until(renewed.expires) - margin
	}
}

// watch keeps the device in step with the leases until ours is gone. An etcd that goes away is
// waited for: the client resumes the watch where it stopped. Where that revision has been
// compacted, everything is listed again.
func (r *registry) watch(ctx context.Context, own netip.Prefix, dev *device) error {
	known := map[netip.Prefix]leaseAttrs{}
	for {
		current, revision, err := r.leases(ctx)
		if err == nil {
			if _, exists := current[own]; !exists {
				return errLeaseRevoked
			}
			for subnet, attrs := range known {
				if _, exists := current[subnet]; !exists {
					dev.remove(subnet, attrs)
					delete(known, subnet)
				}
			}
			for subnet, attrs := range current {
				if subnet != own {
					dev.add(subnet, attrs)
					known[subnet] = attrs
				}
			}
			err = r.follow(ctx, revision+1, own, known, dev)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if errors.Is(err, errLeaseRevoked) {
			return err
		}
		logger.Printf("watch of leases: %v; listing them again", err)
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

func (r *registry) follow(ctx context.Context, revision int64, own netip.Prefix,
	known map[netip.Prefix]leaseAttrs, dev *device) error {
	ctx, cancel := context.WithCancel(clientv3.WithRequireLeader(ctx))
	defer cancel()

	events := r.client.Watch(ctx, path.Join(r.prefix, "subnets"), clientv3.WithPrefix(),
		clientv3.WithRev(revision))
	for resp := range events {
		if err := resp.Err(); err != nil {
			return err
		}
		for _, event := range resp.Events {
			deleted := event.Type == clientv3.EventTypeDelete
			subnet, attrs, err := parseLease(event.Kv.Key, event.Kv.Value)
			switch {
			case err != nil:
				logger.Printf("ignoring bad subnet %s: %v", event.Kv.Key, err)
			case subnet == own && deleted:
				return errLeaseRevoked
			case subnet == own:
			case deleted:
				dev.remove(subnet, known[subnet])
				delete(known, subnet)
			default:
				dev.add(subnet, attrs)
				known[subnet] = attrs
			}
		}
	}
	return errors.New("channel closed")
}

func toInt(addr netip.Addr) uint32 {
	bytes := addr.As4()
	return binary.BigEndian.Uint32(bytes[:])
}

func toAddr(value uint32) netip.Addr {
	var bytes [4]byte
	binary.BigEndian.PutUint32(bytes[:], value)
	return netip.AddrFrom4(bytes)
}
