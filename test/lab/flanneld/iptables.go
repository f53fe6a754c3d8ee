// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
	"time"
)

const (
	masqueradeChain = "FLANNEL-POSTRTG"
	forwardChain    = "FLANNEL-FWD"
	kubeProxyMark   = "0x4000/0x4000" // masqueraded by kube-proxy already
)

// A ruleSet is a chain of flannel's own, and the jump to it from one of the kernel's.
type ruleSet struct {
	table, from, chain, comment string
	rules                       []string
}

type ruleSets []ruleSet

func newRules(network, subnet netip.Prefix, masquerade, forward bool) (sets ruleSets) {
	expand := strings.NewReplacer("NETWORK", network.String(), "SUBNET", subnet.String(),
		"MARK", kubeProxyMark).Replace

	if masquerade {
		sets = append(sets, ruleSet{"nat", "POSTROUTING", masqueradeChain, "flanneld masq", []string{
			expand("-m mark --mark MARK -j RETURN"),
			expand("-s SUBNET -d NETWORK -j RETURN"),
			expand("-s NETWORK -d SUBNET -j RETURN"),
			expand("! -s NETWORK -d SUBNET -j RETURN"),
			expand("-s NETWORK ! -d 224.0.0.0/4 -j MASQUERADE --random-fully"),
			expand("! -s NETWORK -d NETWORK -j MASQUERADE --random-fully"),
		}})
	}
	if forward {
		sets = append(sets, ruleSet{"filter", "FORWARD", forwardChain, "flanneld forward", []string{
			expand("-s NETWORK -j ACCEPT"),
			expand("-d NETWORK -j ACCEPT"),
		}})
	}
	return sets
}

func (s ruleSet) jump(action string) []string {
	return []string{"-w", "-t", s.table, action, s.from, "-m", "comment", "--comment", s.comment,
		"-j", s.chain}
}

// own is a command on the chain of flannel's own.
func (s ruleSet) own(action string, rule ...string) []string {
	return append([]string{"-w", "-t", s.table, action, s.chain}, rule...)
}

func (s ruleSet) complete() bool {
	for _, rule := range s.rules {
		if iptables(s.own("-C", strings.Fields(rule)...)...) != nil {
			return false
		}
	}
	return iptables(s.jump("-C")...) == nil
}

// ensure rebuilds a chain that lacks a rule, as their order matters.
func (sets ruleSets) ensure() error {
	for _, s := range sets {
		if s.complete() {
			continue
		}
		var script strings.Builder
		fmt.Fprintf(&script, "*%s\n:%s - [0:0]\n", s.table, s.chain) // makes the chain, or empties it
		for _, rule := range s.rules {
			fmt.Fprintf(&script, "-A %s %s\n", s.chain, rule)
		}
		script.WriteString("COMMIT\n")
		if err := command(script.String(), "iptables-restore", "-w", "--noflush"); err != nil {
			return err
		}
		if iptables(s.jump("-C")...) == nil {
			continue
		}
		if err := iptables(s.jump("-A")...); err != nil {
			return err
		}
	}
	return nil
}

func (sets ruleSets) keep(ctx context.Context, period time.Duration) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(period):
			logFailure("ensure iptables rules", sets.ensure())
		}
	}
}

func (sets ruleSets) remove() {
	for _, s := range sets {
		for _, args := range [][]string{s.jump("-D"), s.own("-F"), s.own("-X")} {
			logFailure("remove iptables rules", iptables(args...))
		}
	}
}

func iptables(args ...string) error { return command("", "iptables", args...) }

func command(input, name string, args ...string) error {
	cmd := exec.Command(name, args...)
	cmd.Stdin = strings.NewReader(input)
	if output, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", name, strings.Join(args, " "), err, output)
	}
	return nil
}
