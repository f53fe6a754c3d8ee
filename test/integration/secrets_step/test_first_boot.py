# SPDX-License-Identifier: Apache-2.0
"""The secrets of a cluster: made once, whatever happens, and fetched by everyone else."""

import base64
import concurrent.futures
import contextlib
import json
import shutil

import pytest
import yaml
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from secrets_step.world import Machine, master, must, must_wait, node

pytestmark = [pytest.mark.needs_root, pytest.mark.takes_minutes]


def test_a_first_boot_makes_them_and_a_second_run_costs_one_get(world):
    with master(world) as machine:
        world.front.control("POST", "/calls/reset")
        said = must(machine.run(script='"$@" && echo -- && "$@" && ls -ln /srv/kubernetes'), 0)
        first, again = said.split("--\n")
        assert first.startswith("applied ") and again.startswith("already "), said
        calls = world.s3_calls()
        index = world.index()
        files = [f["key"] for f in index["files"]]
        # claim twice (once to see that the store refuses the second), every file, the index
        assert calls["s3:PutObject"] == len(files) + 3, calls
        for line in again.splitlines()[2:]:
            mode, _, owner, _, _, _, _, _, name = line.split()
            public = name.endswith((".crt", ".pub"))
            assert owner == "0" and mode == ("-rw-r--r--" if public else "-rw-------"), line
        assert machine.identity()["state"] == "complete"
        assert machine.identity()["ca_sha256"] == index["ca_sha256"]
        world.front.control("POST", "/calls/reset")
        must(machine.run(script='"$@" >/dev/null; "$@"'), 0, "already")  # after a reboot: fetched
        calls = world.s3_calls()
        masters = sum(k.startswith("master/") for k in files)
        # index for probe, apply, verification and the second run: 4
        assert calls == {"s3:GetObject": masters + 4}, (calls, masters)


def check_kubeconfig(content, authority, server, common_name):
    """It is YAML, names one cluster and one user, and the user's key is that of the certificate."""
    config = yaml.safe_load(content)
    user = config["users"][0].pop("user")
    certificate, key = (base64.b64decode(user.pop(f"client-{part}-data"), validate=True)
                        for part in ("certificate", "key"))
    signed = x509.load_pem_x509_certificate(certificate)
    signed.verify_directly_issued_by(x509.load_pem_x509_certificate(authority))
    assert signed.public_key() == load_pem_private_key(key, None).public_key()
    assert [a.value for a in signed.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)] == [common_name]
    assert (user, config) == ({}, {
        "apiVersion": "v1", "kind": "Config", "current-context": "blue",
        "contexts": [{"name": "blue", "context": {"cluster": "blue", "user": common_name}}],
        "clusters": [{"name": "blue", "cluster": {
            "server": server, "certificate-authority-data": base64.b64encode(authority).decode()}}],
        "users": [{"name": common_name}]})


def test_what_kubernetes_reads_is_yaml(world):
    with master(world) as machine:
        must(machine.run(), 0)
        files = {}
        for file in world.index()["files"]:
            folder, _, name = file["key"].split("/")
            files[f"{folder}/{name}"] = world.get(file["key"])
        public_ip, private_ip = world.seed["public_ip"], world.seed["private_ip"]
        for name, server, common_name in (
                ("admin/kubeconfig", public_ip, "kubernetes-admin"),
                ("master/kube-scheduler.kubeconfig", "127.0.0.1", "system:kube-scheduler"),
                ("master/kube-bootstrap.kubeconfig", "127.0.0.1", "kube-bootstrap"),
                ("node/kube-proxy.kubeconfig", private_ip, "system:kube-proxy")):
            check_kubeconfig(files[name], files["master/ca.crt"], f"https://{server}:443", common_name)
        encryption = yaml.safe_load(files["master/encryption-config.yaml"])
        secret = encryption["resources"][0]["providers"][0]["secretbox"]["keys"][0].pop("secret")
        assert len(base64.b64decode(secret, validate=True)) == 32
        assert encryption == {
            "apiVersion": "apiserver.config.k8s.io/v1", "kind": "EncryptionConfiguration",
            "resources": [{"resources": ["secrets"], "providers": [
                {"secretbox": {"keys": [{"name": "key1"}]}}, {"identity": {}}]}]}


def test_a_node_waits_and_never_reads_what_is_the_masters(world):
    with master(world) as first, node(world) as second, \
            concurrent.futures.ThreadPoolExecutor() as pool:
        waiting = pool.submit(second.run, script='"$@" && ls /srv/kubernetes')
        must(first.run(), 0, "applied")
        said = must(waiting.result(), 0, "applied").splitlines()[1:]
        assert "ca.crt" in said and "flanneld.key" in said, said
        assert not [n for n in said if n in ("ca.key", "etcd-ca.key", "sa.key")], said
        keys = [call["key"] for call in map(json.loads, (world.front.state / "requests.jsonl")
                                            .read_text().splitlines())
                if call.get("instance") == second.id and "key" in call]
        assert [k for k in keys if k.startswith("pki/node/")], "the log tells nothing"
        assert not [k for k in keys if k.startswith("pki/master/")], keys


def test_of_masters_that_race_one_makes_secrets(world):
    with contextlib.ExitStack() as stack, concurrent.futures.ThreadPoolExecutor(8) as pool:
        machines = [stack.enter_context(master(world, volume_id=world.front.new_volume()))
                    for _ in range(8)]
        ended = list(pool.map(Machine.run, machines))
        assert sorted(status for status, _ in ended) == [0] + [1] * 7, ended
        assert all(status == 0 or said.startswith("unsafe: secrets: volume ")
                   for status, said in ended), ended
        authorities = [k for k in world.keys() if k.endswith("/ca.key")]
        assert len(authorities) == 1, authorities


def test_what_does_not_fit_its_digest_is_refused_and_nothing_written(world):
    with master(world) as first, node(world) as second:
        must(first.run(), 0)
        key = next(f for f in world.index()["files"] if f["key"].endswith("flanneld.key")
                   and f["key"].startswith("node/"))
        content = world.get(key["key"])
        world.put(key["key"], b"x" * key["size"])
        script = '"$@"; status=$?; ls /srv/kubernetes; exit $status'
        said = must(second.run(script=script), 1, "unsafe: ", key["key"], key["sha256"],
                    "where index.json says")
        assert len(said.splitlines()) == 1, said
        world.delete(key["key"])
        must(second.run(), 1, "unsafe: ", "is not there")
        world.put(key["key"], content)
        world.put("index.json", json.dumps(world.index() | {"ca_sha256": "0" * 64}).encode())
        must(second.run(), 1, "unsafe: ", "ca.crt has fingerprint", "index.json says 000")
        world.put("index.json", b'{"schema": 2}')
        must(second.run(), 1, "unsafe: ", "a newer one wrote it")


def test_a_plan_says_why_there_are_no_secrets_yet(world):
    with node(world) as waits, master(world) as third:
        must(waits.run("--plan"), 0, f"s3://{world.seed['bucket']}/", "has no index.json: the master has not")
        with master(world) as first:
            must(first.run("--plan"), 0, ": there are none yet")
            log = world.folder / "effects-plan"
            must(first.run(log=log), 0)
            claimed = next(line for line in log.read_text().splitlines() if "before http s3 PutObject" in line)
            world.empty()
            shutil.rmtree(first.volume)
            first.volume.mkdir()
            must(first.run(kill=f"before:{int(claimed.partition(':')[0]) + 8}:"), 137)
            must(first.run("--plan"), 0, ": an earlier attempt to make them was interrupted")
            must(third.run("--plan"), 0, f": another instance is making them, {first.id} (running)")
        must(third.run("--plan"), 0, f": the instance that began to make them no longer exists, {first.id} (terminated)")


def test_a_claim_is_waited_for_while_its_holder_lives(world):
    with master(world) as second:
        with master(world) as first:
            log = world.folder / "effects-claim"
            must(first.run(log=log), 0)
            claimed = next(line for line in log.read_text().splitlines()
                           if "before http s3 PutObject" in line)  # the first of all
            world.empty()
            shutil.rmtree(first.volume)
            first.volume.mkdir()
            number = int(claimed.partition(":")[0]) + 8  # among the files
            must(first.run(kill=f"before:{number}:"), 137)
            assert "pki/claim" in world.keys() and "pki/index.json" not in world.keys()
            must_wait(second, f"instance {first.id} (running), which has been making the secrets")
            # One that has looked before the claim was there: index and claim, by probe and by apply.
            world.front.control("POST", "/faults", {"action": "GetObject", "effect": "error", "status": 404,
                                                    "code": "NoSuchKey", "count": 4, "instance": second.id})
            must(second.run(seconds=15), 1, "retry: ")
            assert second.identity()["state"] == "pending", "it has not tried"
            assert first.id in world.get("claim").decode(), world.get("claim")
        said = must(second.run(), 0, "applied")
        assert second.identity()["cluster_id"] in said
        assert second.id in world.get("claim").decode()


def test_where_volume_and_bucket_disagree_a_person_decides(world):
    with master(world) as first:
        must(first.run(), 0)
        old = world.index()["cluster_id"]
        with master(world, volume_id=world.front.new_volume()) as blank:
            must(blank.run(), 1, "unsafe: ", old, "is blank", "--new-cluster")
            must(blank.run("--new-keys", "--takeover"), 1, "unsafe: ")
            must(blank.run("--new-cluster"), 0, "applied")
            assert world.index()["cluster_id"] != old and world.index()["revision"] == 2
            must(first.run("--new-cluster", "--new-keys"), 1, "unsafe: ", "two clusters")
            world.delete("index.json")
            must(blank.run(), 1, "unsafe: ", "lost its secrets", "--new-keys")
            kept = blank.identity()["cluster_id"]
            must(blank.run("--new-keys"), 0, "applied", kept)
    with master(world) as lost:
        world.empty()
        (lost.volume / "etcd/member").mkdir(parents=True)
        must(lost.run(), 1, "unsafe: ", "etcd member and no identity")


def test_without_its_volume_a_master_makes_nothing(world):
    """The mount point is an empty folder then, which looks like a blank volume."""
    with master(world) as machine:
        said = must_wait(machine, "the master volume is not mounted",
                         script='umount /var/lib/kubernetes/master; "$@"')
        assert said.startswith("retry: ") and not world.keys(), said


def test_by_a_wrong_clock_no_certificate_is_made(world):
    with master(world) as machine:
        for seconds in (-1200, 120):  # signing is corrected for the one, and need not be for the other
            world.front.control("POST", "/faults", {"action": "*", "effect": "skew", "count": 0,
                                                    "seconds": seconds, "instance": machine.id})
            must_wait(machine, "the clock is ")
            world.front.control("DELETE", "/faults")
            assert not world.keys(), world.keys()
        must(machine.run(), 0, "applied")


def test_a_denial_or_a_wrong_bucket_is_named(world):
    with master(world) as machine:
        world.write_config(machine, S3_BUCKET="kb-no-such-bucket")
        # a new bucket may appear within a minute; after that it is the setting
        must(machine.run(seconds=180), 1, "config: ", "S3_BUCKET=kb-no-such-bucket", "NoSuchBucket")
        world.write_config(machine)
        world.front.control("POST", "/faults", {"action": "GetObject", "effect": "error",
                                                "status": 403, "code": "AccessDenied"})
        must(machine.run(), 1, "denied: ", "s3:GetObject", "pki/index.json")
        world.front.control("DELETE", "/faults")
        must(machine.run(), 0)
        world.write_config(machine, CLUSTER_NAME="green")
        must(machine.run(), 1, "unsafe: ", "CLUSTER_NAME is green")


RECORDED = {"overlay_network": "10.244.0.0/16", "overlay_backend": "vxlan",
            "service_network": "10.96.0.0/16", "cluster_domain": "cluster.local"}


def settings_of(document):
    return {name: document[name] for name in RECORDED if name in document}


def test_what_a_cluster_was_made_with_stays(world):
    with master(world) as machine, node(world) as second:
        must(machine.run(), 0)
        assert settings_of(machine.identity()) == settings_of(world.index()) == RECORDED
        must(second.run(), 0)
        for key, old, new in (("OVERLAY_NETWORK", "10.244.0.0/16", "10.245.0.0/16"),
                              ("OVERLAY_BACKEND", "vxlan", "host-gw"),
                              ("SERVICE_NETWORK", "10.96.0.0/16", "10.97.0.0/16"),
                              ("CLUSTER_DOMAIN", "cluster.local", "corp.example")):
            for one, where in ((machine, "cluster-identity.json"), (second, "index.json")):
                world.write_config(one, **{key: new})
                # as nothing is installed yet, so before anything starts
                must(one.run(script='"$@"; status=$?; ls /srv/kubernetes; exit $status'), 1,
                     f"config: secrets: /etc/kubernetes/stack-config.sh:10: {key}={new}, but this "
                     f"cluster was made with {key}={old}", where, f"write {key}={old} there")
                world.write_config(one)
        world.write_config(machine, SERVICE_NETWORK="10.97.0.0/16")
        world.delete("index.json")  # new keys, but the same services in etcd
        must(machine.run("--new-keys"), 1, "made with SERVICE_NETWORK=10.96.0.0/16")


def test_settings_follow_the_file_until_there_are_certificates(world):
    log = world.folder / "effects-settings"
    with master(world) as first:
        must(first.run(log=log), 0)
        puts = [line for line in log.read_text().splitlines() if "before http s3 PutObject" in line]
        index = puts[-1].partition(":")[0]  # it is written last
    for when, settled in ((f"before:{index}:", False), (f"after:{index}:", True)):
        world.empty()
        with master(world) as first:
            must(first.run(kill=when), 137)
        with master(world, volume=first.volume) as second:
            assert second.identity()["state"] == "pending"
            world.write_config(second, SERVICE_NETWORK="10.97.0.0/16")
            if settled:
                must(second.run(), 1, "config: ", "made with SERVICE_NETWORK=10.96.0.0/16")
                continue
            must(second.run(), 0, "applied")
            assert second.identity()["service_network"] == "10.97.0.0/16"
            assert world.index()["service_network"] == "10.97.0.0/16"


def test_an_identity_without_settings_is_completed(world):
    with master(world) as machine, node(world) as second:
        must(machine.run(), 0)
        file = machine.volume / "cluster-identity.json"
        before = {k: v for k, v in machine.identity().items() if k not in RECORDED}
        index = {k: v for k, v in world.index().items() if k not in RECORDED}
        for reboot in (True, False):
            file.write_text(json.dumps(before))
            world.put("index.json", json.dumps(index).encode())
            world.write_config(machine, SERVICE_NETWORK="10.0.0.0/16")
            must(machine.run(), 1, "config: ", ":10: SERVICE_NETWORK=10.0.0.0/16, but", "10.96.0.1",
                 "not 10.0.0.1")
            world.write_config(machine, CLUSTER_DOMAIN="corp.example")
            must(machine.run(), 1, "config: ", "CLUSTER_DOMAIN=corp.example, but")
            assert machine.identity() == before
            world.write_config(machine)
            script = '"$@"' if reboot else \
                f'"$@" && cp {world.folder}/before /var/lib/kubernetes/master/cluster-identity.json && "$@"'
            (world.folder / "before").write_text(json.dumps(before))
            must(machine.run(script=script), 0, "applied")
            # what etcd knows is for step flannel-config to record
            assert machine.identity() == before | {
                "service_network": "10.96.0.0/16", "cluster_domain": "cluster.local"}
            assert world.index() == index
            must(second.run(), 0)


def test_names_that_the_certificate_lacks_are_a_warning(world):
    with master(world) as machine:
        must(machine.run(), 0)
        world.write_config(machine, API_DNS_NAME="api.example.com")
        said = must(machine.run(script='"$@" && "$@"'), 0, "applied", "already")
        assert said.count("warning: API_DNS_NAME=api.example.com is not in the API server's "
                          "certificate") == 2, said
