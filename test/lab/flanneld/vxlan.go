// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"github.com/vishvananda/netlink"
)

const encapsulationOverhead = 50

type device struct {
	link *netlink.Vxlan
}

// ensureDevice makes flannel.VNI, or takes the one that an earlier run left: with it its MAC
// address, and the entries of machines that are still there.
func ensureDevice(cfg *networkConfig, iface *net.Interface, addr netip.Addr) (*device, error) {
	mtu := cfg.Backend.MTU
	if mtu == 0 {
		mtu = iface.MTU
	}
	mac := make(net.HardwareAddr, 6)
	if _, err := rand.Read(mac); err != nil {
		return nil, err
	}
	mac[0] = mac[0]&^1 | 2 // unicast, locally administered

	wanted := &netlink.Vxlan{
		LinkAttrs: netlink.LinkAttrs{
			Name:         fmt.Sprintf("flannel.%d", cfg.Backend.VNI),
			HardwareAddr: mac,
			MTU:          mtu - encapsulationOverhead,
		},
		VxlanId:      cfg.Backend.VNI,
		VtepDevIndex: iface.Index,
		SrcAddr:      addr.AsSlice(),
		Port:         cfg.Backend.Port, // 0: the kernel's default, 8472
	}

	err := netlink.LinkAdd(wanted)
	if errors.Is(err, syscall.EEXIST) {
		existing, err := netlink.LinkByName(wanted.Name)
		if err != nil {
			return nil, err
		}
		if same(wanted, existing) {
			return &device{existing.(*netlink.Vxlan)}, nil
		}
		logger.Printf("%s already exists with incompatible configuration, recreating it", wanted.Name)
		if err := netlink.LinkDel(existing); err != nil {
			return nil, fmt.Errorf("delete %s: %w", wanted.Name, err)
		}
		if err := netlink.LinkAdd(wanted); err != nil {
			return nil, fmt.Errorf("create %s: %w", wanted.Name, err)
		}
	} else if err != nil {
		return nil, fmt.Errorf("create %s: %w", wanted.Name, err)
	}
	return &device{wanted}, nil
}

func same(wanted *netlink.Vxlan, link netlink.Link) bool {
	existing, isVxlan := link.(*netlink.Vxlan)
	return isVxlan && existing.VxlanId == wanted.VxlanId && existing.VtepDevIndex == wanted.VtepDevIndex &&
		existing.SrcAddr.Equal(wanted.SrcAddr) && (wanted.Port == 0 || existing.Port == wanted.Port)
}

func (d *device) mac() string { return d.link.HardwareAddr.String() }
func (d *device) mtu() int    { return d.link.MTU }

// configure gives the device the subnet's first address as a /32, so that no broadcast route is
// made.
func (d *device) configure(subnet, network netip.Prefix) error {
	existing, err := netlink.AddrList(d.link, netlink.FAMILY_V4)
	if err != nil {
		return err
	}
	for i := range existing {
		old, ok := netip.AddrFromSlice(existing[i].IP.To4())
		if ok && network.Contains(old) && old != subnet.Addr() {
			if err := netlink.AddrDel(d.link, &existing[i]); err != nil {
				return fmt.Errorf("remove address %s from %s: %w", old, d.link.Name, err)
			}
		}
	}
	own := &netlink.Addr{IPNet: ipNet(netip.PrefixFrom(subnet.Addr(), 32))}
	if err := netlink.AddrReplace(d.link, own); err != nil {
		return fmt.Errorf("add address %s to %s: %w", own, d.link.Name, err)
	}
	return netlink.LinkSetUp(d.link)
}

// add makes another machine's subnet reachable. The route comes last: with it the kernel looks for
// the other two.
func (d *device) add(subnet netip.Prefix, attrs leaseAttrs) {
	arp, fdb, err := d.neighbours(subnet, attrs)
	if err == nil {
		err = netlink.NeighSet(arp)
	}
	if err == nil {
		err = netlink.NeighSet(fdb)
	}
	if err == nil {
		err = netlink.RouteReplace(d.route(subnet))
	}
	if err != nil {
		logger.Printf("add subnet %s of %s: %v", subnet, attrs.PublicIP, err)
		return
	}
	logger.Printf("added subnet %s of %s", subnet, attrs.PublicIP)
}

// remove goes on where an entry is missing already.
func (d *device) remove(subnet netip.Prefix, attrs leaseAttrs) {
	logger.Printf("removing subnet %s of %s", subnet, attrs.PublicIP)
	if arp, fdb, err := d.neighbours(subnet, attrs); err == nil {
		logFailure("remove ARP entry", netlink.NeighDel(arp))
		logFailure("remove FDB entry", netlink.NeighDel(fdb))
	}
	logFailure("remove route", netlink.RouteDel(d.route(subnet)))
}

func logFailure(what string, err error) {
	if err != nil {
		logger.Printf("%s: %v", what, err)
	}
}

func (d *device) neighbours(subnet netip.Prefix, attrs leaseAttrs) (arp, fdb *netlink.Neigh, err error) {
	mac, err := net.ParseMAC(attrs.BackendData.VtepMAC)
	if err != nil {
		return nil, nil, err
	}
	arp = &netlink.Neigh{LinkIndex: d.link.Index, State: netlink.NUD_PERMANENT, Type: syscall.RTN_UNICAST,
		IP: subnet.Addr().AsSlice(), HardwareAddr: mac}
	fdb = &netlink.Neigh{LinkIndex: d.link.Index, State: netlink.NUD_PERMANENT, Family: syscall.AF_BRIDGE,
		Flags: netlink.NTF_SELF, IP: attrs.PublicIP.AsSlice(), HardwareAddr: mac}
	return arp, fdb, nil
}

func (d *device) route(subnet netip.Prefix) *netlink.Route {
	return &netlink.Route{LinkIndex: d.link.Index, Scope: netlink.SCOPE_UNIVERSE, Dst: ipNet(subnet),
		Gw: subnet.Addr().AsSlice(), Flags: int(netlink.FLAG_ONLINK)}
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), 32)}
}
