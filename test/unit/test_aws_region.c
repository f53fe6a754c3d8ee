/* SPDX-License-Identifier: Apache-2.0 */

/* EC2, S3 and IMDS as the daemon uses them, against the simulated region: run by
 * test/integration/region/test_aws.py, which names it in KUBE_BOOTSTRAP_TEST_REGION. */

#include <errno.h>
#include <pthread.h>

#include "aws/sts.h"

#include "region_world.h"

static void test_identity(void)
{
        _cleanup_actor_ Actor master = make_actor("master"), none = make_actor("no_role");
        ImdsIdentity id = {}, bare = {};
        Wait wait = test_patience();
        Error err = {};
        CHECK_OK(imds_identity(master.imds, &wait, &id, &err), err);
        CHECK_STR(id.instance_id, of("master", "id"));
        CHECK_STR(id.zone, "us-east-1a");
        CHECK_STR(id.region, "us-east-1");
        CHECK_STR(id.partition, "aws");
        CHECK_STR(id.domain, "amazonaws.com");
        CHECK_STR(id.local_ip, of("master", "private_ip"));
        CHECK_STR(id.iam_role, in_world("master_role"));
        REQUIRE(id.n_interfaces == 2);
        CHECK_STR(id.interfaces[0].eni_id, of("master", "eni"));
        CHECK_STR(id.interfaces[0].mac, of("master", "mac"));
        CHECK_STR(id.subnet_cidr, "172.20.128.0/20");
        CHECK_STR(id.interfaces[1].eni_id, of("master", "second_eni"));
        CHECK_OK(imds_identity(none.imds, &wait, &bare, &err), err);
        CHECK_STR(bare.iam_role, "");
}

static int until_attached(AwsClient *client, const char *state, Ec2Volume *volume, Error *err)
{
        Wait wait = test_patience();
        for (;;) {
                int r = ec2_describe_volume(client, in_world("volume_id"), &wait, volume, err);
                const char *now = volume->attached ? volume->attachment.state : volume->state;
                if (r < 0 || streq(now, state)) {
                        return r;
                }
                r = wait_sleep(&wait, 20, err);
                if (r < 0) {
                        return r;
                }
        }
}

static void test_volume(void)
{
        _cleanup_actor_ Actor a = make_actor("master");
        const char *volume_id = in_world("volume_id"), *here = of("master", "id");
        Ec2Volume volume = {};
        Wait wait = test_patience();
        Error err = {};
        CHECK_OK(ec2_describe_volume(a.client, volume_id, &wait, &volume, &err), err);
        CHECK_STR(volume.state, "available");
        CHECK_STR(volume.zone, "us-east-1a");
        CHECK(volume.size_gib > 0 && !volume.attached && !volume.multi_attach);

        CHECK_OK(ec2_attach_volume(a.client, volume_id, here, "/dev/sdf", &wait, &err), err);
        CHECK_OK(until_attached(a.client, "attached", &volume, &err), err);
        CHECK_STR(volume.state, "in-use");
        CHECK_STR(volume.attachment.instance_id, here);
        CHECK_STR(volume.attachment.device, "/dev/sdf");
        CHECK(strlen(volume.attachment.since) >= 20);
        CHECK_REFUSED(
                ec2_attach_volume(a.client, volume_id, of("other", "id"), "/dev/sdf", &wait, &err),
                err, ERROR_RETRY, "VolumeInUse", "ec2:AttachVolume");
        CHECK_REFUSED(ec2_detach_volume(a.client, volume_id, of("other", "id"), false, &wait, &err),
                      err, ERROR_CONFIG, "InvalidAttachment.NotFound", volume_id);
        CHECK_OK(ec2_detach_volume(a.client, volume_id, here, false, &wait, &err), err);
        CHECK_OK(until_attached(a.client, "available", &volume, &err), err);
        CHECK(!volume.attached);
        CHECK_REFUSED(ec2_detach_volume(a.client, volume_id, here, false, &wait, &err), err,
                      ERROR_RETRY, "IncorrectState", "ec2:DetachVolume");
}

static void test_volume_refusals(void)
{
        _cleanup_actor_ Actor a = make_actor("master");
        const char *volume_id = in_world("volume_id"), *here = of("master", "id");
        Ec2Volume volume = {};
        Wait wait = test_patience();
        Error err = {};
        CHECK_REFUSED(ec2_describe_volume(a.client, "vol-00000000000000000", &wait, &volume, &err),
                      err, ERROR_RETRY, "InvalidVolume.NotFound",
                      "vol-00000000000000000"); /* it may appear: for the first minute */
        CHECK(err.http_status == 400 && err.request_id[0]);
        CHECK_REFUSED(ec2_describe_volume(a.client, "vol-x", &wait, &volume, &err), err,
                      ERROR_CONFIG, "InvalidParameterValue", "vol-x");
        CHECK_REFUSED(
                ec2_attach_volume(a.client, in_world("far_volume"), here, "/dev/sdf", &wait, &err),
                err, ERROR_CONFIG, "InvalidVolume.ZoneMismatch", "availability zone");
        CHECK_REFUSED(ec2_attach_volume(a.client, volume_id, "i-00000000000000000", "/dev/sdf",
                                        &wait, &err),
                      err, ERROR_RETRY, "InvalidInstanceID.NotFound", volume_id);
        CHECK_REFUSED(ec2_attach_volume(a.client, volume_id, here, "/dev/nvme1n1", &wait, &err),
                      err, ERROR_CONFIG, "InvalidParameterValue", "/dev/nvme1n1");
}

static void test_instance_state(void)
{
        _cleanup_actor_ Actor a = make_actor("master");
        char state[24] = "";
        Wait wait = test_patience();
        Error err = {};
        CHECK_INT(ec2_describe_instance_state(a.client, of("node", "id"), &wait, state, &err), 1);
        CHECK_STR(state, "running");
        CHECK_INT(ec2_describe_instance_state(a.client, "i-00000000000000000", &wait, state, &err),
                  0);
}

static void test_interfaces(void)
{
        _cleanup_actor_ Actor a = make_actor("master");
        static Ec2Interface both[2];
        const char *ids[] = { of("master", "second_eni"), of("master", "eni") };
        Wait wait = test_patience();
        Error err = {};
        CHECK_OK(ec2_describe_interfaces(a.client, ids, 2, &wait, both, &err), err);
        CHECK_STR(both[0].eni_id, ids[0]);
        CHECK_STR(both[1].mac, of("master", "mac"));
        CHECK_STR(both[1].instance_id, of("master", "id"));
        CHECK_STR(both[1].subnet_id, in_world("subnet_id"));
        CHECK_STR(both[1].primary_ip, of("master", "private_ip"));
        CHECK_INT(both[1].n_addresses, 1);
        CHECK(both[0].source_dest_check && both[1].source_dest_check);
        CHECK_OK(ec2_set_source_dest_check(a.client, ids[0], false, &wait, &err), err);
        CHECK_OK(ec2_describe_interfaces(a.client, ids, 2, &wait, both, &err), err);
        CHECK(!both[0].source_dest_check && both[1].source_dest_check);
        CHECK_OK(ec2_set_source_dest_check(a.client, ids[0], true, &wait, &err), err);
        CHECK_OK(ec2_describe_interfaces(a.client, ids, 1, &wait, both, &err), err);
        CHECK(both[0].source_dest_check);
        ids[1] = "eni-00000000000000000";
        CHECK_REFUSED(ec2_describe_interfaces(a.client, ids, 2, &wait, both, &err), err,
                      ERROR_RETRY, "InvalidNetworkInterfaceID.NotFound", ids[1]);
}

static void test_private_address(void)
{
        _cleanup_actor_ Actor a = make_actor("master");
        static Ec2Interface found;
        const char *fixed = in_world("private_ip"), *subnet = in_world("subnet_id");
        Wait wait = test_patience();
        Error err = {};
        CHECK_INT(ec2_find_interface_by_address(a.client, subnet, fixed, &wait, &found, &err), 0);
        CHECK_OK(ec2_assign_private_address(a.client, of("master", "eni"), fixed, &wait, &err),
                 err);
        CHECK_INT(ec2_find_interface_by_address(a.client, subnet, fixed, &wait, &found, &err), 1);
        CHECK_STR(found.eni_id, of("master", "eni"));
        REQUIRE(found.n_addresses == 2);
        CHECK_STR(found.addresses[1], fixed);
        /* A failover takes it from the one that had it. */
        CHECK_OK(ec2_assign_private_address(a.client, of("other", "eni"), fixed, &wait, &err), err);
        CHECK_INT(ec2_find_interface_by_address(a.client, subnet, fixed, &wait, &found, &err), 1);
        CHECK_STR(found.eni_id, of("other", "eni"));
        /* Another's primary address cannot be had. */
        CHECK(ec2_assign_private_address(a.client, of("master", "eni"), of("other", "private_ip"),
                                         &wait, &err) < 0);
        CHECK_INT(err.class, ERROR_CONFIG);
        CHECK_CONTAINS(err.message, "ec2:AssignPrivateIpAddresses");
        CHECK_REFUSED(
                ec2_assign_private_address(a.client, of("master", "eni"), "10.9.9.9", &wait, &err),
                err, ERROR_CONFIG, "InvalidParameterValue", "10.9.9.9");
}

static void test_elastic_ip(void)
{
        _cleanup_actor_ Actor a = make_actor("master");
        const char *allocation = in_world("allocation_id");
        Ec2Address address = {};
        Wait wait = test_patience();
        Error err = {};
        CHECK_OK(ec2_describe_address(a.client, allocation, &wait, &address, &err), err);
        CHECK_STR(address.public_ip, in_world("public_ip"));
        CHECK_STR(address.association_id, "");
        static const char *const holders[] = { "other", "master" };
        FOREACH_ARRAY(holder, holders, ELEMENTS(holders)) { /* the second takes it over */
                CHECK_OK(ec2_associate_address(a.client, allocation, of(*holder, "eni"),
                                               of(*holder, "private_ip"), &wait, &err),
                         err);
                CHECK_OK(ec2_describe_address(a.client, allocation, &wait, &address, &err), err);
                CHECK_STR(address.eni_id, of(*holder, "eni"));
                CHECK_STR(address.instance_id, of(*holder, "id"));
                CHECK_STR(address.private_ip, of(*holder, "private_ip"));
                CHECK(address.association_id[0]);
        }
        CHECK_REFUSED(ec2_describe_address(a.client, "eipalloc-00000000", &wait, &address, &err),
                      err, ERROR_RETRY, "InvalidAllocationID.NotFound",
                      "eipalloc-00000000"); /* it may appear: for the first minute */
        CHECK_REFUSED(ec2_associate_address(a.client, "eipalloc-00000000", of("master", "eni"),
                                            of("master", "private_ip"), &wait, &err),
                      err, ERROR_RETRY, "InvalidAllocationID.NotFound", "ec2:AssociateAddress");
}

static void test_denials(void)
{
        _cleanup_actor_ Actor node = make_actor("node");
        _cleanup_s3_bucket_ S3Bucket *bucket = NULL;
        _cleanup_buffer_ Buffer text = {};
        Ec2Volume volume = {};
        static const char key[] = "pki/master/ca.key";
        Wait wait = test_patience();
        Error err = {};
        CHECK_REFUSED(ec2_attach_volume(node.client, in_world("volume_id"), of("node", "id"),
                                        "/dev/sdf", &wait, &err),
                      err, ERROR_DENIED, "UnauthorizedOperation",
                      "the instance's role needs ec2:AttachVolume on vol-");
        CHECK_INT(aws_client_requests(node.client), 1); /* told once, not repeated */
        CHECK_REFUSED(ec2_describe_volume(node.client, in_world("volume_id"), &wait, &volume, &err),
                      err, ERROR_DENIED, "UnauthorizedOperation", "ec2:DescribeVolumes");
        CHECK_OK(
                s3_bucket_new(node.client, in_world("bucket"), "123456789012", NULL, &bucket, &err),
                err);
        CHECK_REFUSED(s3_get(bucket, key, 100, &wait, &text, NULL, &err), err, ERROR_DENIED,
                      "AccessDenied", "needs s3:GetObject on s3://kb-secrets/pki/master/ca.key");
        CHECK_REFUSED(s3_put(bucket, key, "x", 1, S3_IF_ABSENT, NULL, &wait, NULL, &err), err,
                      ERROR_DENIED, "AccessDenied", "s3:PutObject");
        CHECK_INT(s3_get(bucket, "pki/node/none", 10, &wait, &text, NULL, &err),
                  0); /* it may list */
}

static void test_objects(void)
{
        static const char *const names[] = { "plain",        "a b/c  d",
                                             "-._~",         "a*b+c=d",
                                             "100%/%41",     "x/../y",
                                             "a:@,;'()!$?#", "schl\xc3\xbcssel/\xe9\x8d\xb5" };
        _cleanup_actor_ Actor a = make_actor("master");
        _cleanup_s3_bucket_ S3Bucket *bucket = NULL;
        char etag[S3_ETAG_MAX], again[S3_ETAG_MAX];
        Wait wait = test_patience();
        Error err = {};
        CHECK_OK(s3_bucket_new(a.client, in_world("bucket"), "123456789012", NULL, &bucket, &err),
                 err);
        FOREACH_ARRAY(name, names, ELEMENTS(names)) {
                _cleanup_buffer_ Buffer text = {};
                char key[128];
                (void) snprintf(key, sizeof(key), "pki/%s", *name);
                CHECK_INT(s3_put(bucket, key, *name, strlen(*name), S3_UNCONDITIONAL, NULL, &wait,
                                 etag, &err),
                          1);
                CHECK_INT(s3_get(bucket, key, 100, &wait, &text, again, &err), 1);
                CHECK_STR(text.data, *name);
                CHECK_STR(again, etag);
        }

        _cleanup_buffer_ Buffer none = {}, empty = {}, back = {};
        char *big = calloc(1, 1 << 20);
        REQUIRE(big);
        CHECK_INT(s3_get(bucket, "pki/none", 100, &wait, &none, NULL, &err), 0);
        CHECK_INT(s3_put(bucket, "pki/0", NULL, 0, S3_UNCONDITIONAL, NULL, &wait, NULL, &err), 1);
        CHECK_INT(s3_get(bucket, "pki/0", 0, &wait, &empty, NULL, &err), 1);
        CHECK_INT(empty.size, 0);
        CHECK_INT(s3_put(bucket, "pki/1", big, 1 << 20, S3_UNCONDITIONAL, NULL, &wait, NULL, &err),
                  1);
        CHECK_INT(s3_get(bucket, "pki/1", 1 << 20, &wait, &back, NULL, &err), 1);
        CHECK(back.size == 1 << 20 && memcmp(back.data, big, back.size) == 0);
        CHECK_INT(s3_get(bucket, "pki/1", 1000, &wait, &back, NULL, &err), -EFBIG);
        free(big);
}

/* A conditional put from a thread, and so on a connection, of its own. The client repeats a put
 * that S3 answered with 409 a few times only, and then says so: the caller repeats it. */
typedef struct Writer {
        S3Bucket *bucket;
        const char *key;
        pthread_t thread;
        int result;
        Error err;
} Writer;

static void *put_from_thread(void *userdata)
{
        Writer *w = userdata;
        Wait wait = test_patience();
        do {
                w->result = s3_put(w->bucket, w->key, "mine", 4, S3_IF_ABSENT, NULL, &wait, NULL,
                                   &w->err);
        } while (w->result == -EAGAIN && wait_sleep(&wait, 10, ERROR_IGNORED) == 0);
        return NULL;
}

static void test_conditions(void)
{
        _cleanup_actor_ Actor a = make_actor("master");
        _cleanup_s3_bucket_ S3Bucket *bucket = NULL;
        _cleanup_buffer_ Buffer text = {};
        char first[S3_ETAG_MAX] = "", second[S3_ETAG_MAX] = "";
        Wait wait = test_patience();
        Error err = {};
        CHECK_OK(s3_bucket_new(a.client, in_world("bucket"), "123456789012", NULL, &bucket, &err),
                 err);
        CHECK_INT(s3_put(bucket, "pki/c", "x", 1, S3_IF_MATCH, "\"none\"", &wait, NULL, &err), 0);
        CHECK_INT(s3_put(bucket, "pki/c", "1", 1, S3_IF_ABSENT, NULL, &wait, first, &err), 1);
        CHECK_INT(s3_put(bucket, "pki/c", "x", 1, S3_IF_ABSENT, NULL, &wait, NULL, &err), 0);
        CHECK_INT(s3_put(bucket, "pki/c", "2", 1, S3_IF_MATCH, first, &wait, second, &err), 1);
        CHECK_INT(s3_put(bucket, "pki/c", "x", 1, S3_IF_MATCH, first, &wait, NULL, &err), 0);
        CHECK_INT(s3_get(bucket, "pki/c", 10, &wait, &text, first, &err), 1);
        CHECK_STR(text.data, "2");
        CHECK_STR(first, second);

        /* An answer lost on the way: done, and reported as not; the reader finds its own. */
        fault("{\"action\":\"s3:PutObject\",\"effect\":\"lost\"}");
        Writer w = { .bucket = bucket, .key = "pki/lost" };
        REQUIRE(pthread_create(&w.thread, NULL, put_from_thread, &w) == 0);
        CHECK_INT(pthread_join(w.thread, NULL), 0);
        CHECK_INT(w.result, 0);
        buffer_done(&text);
        CHECK_INT(s3_get(bucket, "pki/lost", 10, &wait, &text, NULL, &err), 1);
        CHECK_STR(text.data, "mine");
}

/* Several at the same moment: one wins, and the others are told. */
static void test_race(void)
{
        _cleanup_actor_ Actor a = make_actor("master");
        _cleanup_s3_bucket_ S3Bucket *bucket = NULL;
        Writer writers[4] = {};
        unsigned won = 0;
        Error err = {};
        CHECK_OK(s3_bucket_new(a.client, in_world("bucket"), "123456789012", NULL, &bucket, &err),
                 err);
        control_do("POST", "/settings", "{\"s3\":{\"put_ms\":100}}");
        FOREACH_ARRAY(w, writers, ELEMENTS(writers)) {
                w->bucket = bucket;
                w->key = "pki/race";
                REQUIRE(pthread_create(&w->thread, NULL, put_from_thread, w) == 0);
        }
        FOREACH_ARRAY(w, writers, ELEMENTS(writers)) {
                CHECK_INT(pthread_join(w->thread, NULL), 0);
                CHECK_OK(w->result, w->err);
                won += w->result == 1;
        }
        control_do("POST", "/settings", "{\"s3\":{\"put_ms\":0}}");
        CHECK_INT(won, 1);
}

static void test_buckets(void)
{
        _cleanup_actor_ Actor a = make_actor("master"), admin = make_actor("admin");
        _cleanup_s3_bucket_ S3Bucket *none = NULL, *far_bucket = NULL, *encrypted = NULL;
        _cleanup_buffer_ Buffer text = {};
        Wait wait = test_patience();
        Error err = {};
        CHECK_OK(s3_bucket_new(a.client, "kb-no-such-bucket", "123456789012", NULL, &none, &err),
                 err);
        CHECK_REFUSED(s3_get(none, "k", 10, &wait, &text, NULL, &err), err, ERROR_RETRY,
                      "NoSuchBucket", "s3://kb-no-such-bucket/k");
        CHECK_OK(s3_bucket_new(admin.client, in_world("far_bucket"), "123456789012", NULL,
                               &far_bucket, &err),
                 err);
        CHECK_INT(s3_put(far_bucket, "k", "far", 3, S3_IF_ABSENT, NULL, &wait, NULL, &err), 1);
        CHECK_INT(aws_client_requests(admin.client), 2); /* asked here, then there */
        CHECK_INT(s3_get(far_bucket, "k", 10, &wait, &text, NULL, &err), 1);
        CHECK_STR(text.data, "far");
        CHECK_INT(aws_client_requests(admin.client), 3); /* and there at once from then on */
        CHECK_OK(s3_bucket_new(admin.client, in_world("bucket"), "123456789012", "alias/kb",
                               &encrypted, &err),
                 err);
        CHECK_INT(s3_put(encrypted, "pki/kms", "k", 1, S3_UNCONDITIONAL, NULL, &wait, NULL, &err),
                  1);
}

#define SHA "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

static const StsClaim claim = { "cluster-1", SHA };

/* The proof that this actor gives for the claim. */
static StsProof proof_of(const char *name)
{
        _cleanup_actor_ Actor a = make_actor(name);
        _cleanup_buffer_ Buffer text = {};
        Wait wait = test_patience();
        Error err = {};
        StsProof proof = {};
        CHECK_OK(sts_prove(a.client, &claim, &wait, &text, &err), err);
        CHECK_OK(sts_proof_parse(text.data, text.size, &proof, &err), err);
        CHECK(sts_proof_is_fresh(&proof, time(NULL)));
        CHECK_INT(aws_client_requests(a.client), 0); /* it only signs */
        return proof;
}

/* Who proves something is told by AWS, and by nothing in the proof. */
static void test_proof(void)
{
        _cleanup_actor_ Actor master = make_actor("master");
        Wait wait = test_patience();
        Error err = {};
        StsCaller caller = {};
        char why[STS_REASON_MAX] = "";
        StsProof node = proof_of("node"), own = proof_of("master");
        CHECK_INT(sts_check(master.client, &node, &claim, &wait, &caller, why, &err), 1);
        CHECK_STR(caller.session, of("node", "id"));
        CHECK_STR(caller.role, in_world("node_role"));
        CHECK_STR(caller.account, "123456789012");
        CHECK_INT(sts_check(master.client, &own, &claim, &wait, &caller, why, &err), 1);
        CHECK_STR(caller.session, of("master", "id"));
        CHECK_STR(caller.role, in_world("master_role"));
}

/* A proof is worth nothing for another request or cluster, at another time, or with anybody
 * else's key. */
static void test_proof_of_something_else(void)
{
        _cleanup_actor_ Actor master = make_actor("master");
        const StsProof node = proof_of("node"), own = proof_of("master");
        const StsClaim others[] = {
                { "cluster-2", SHA },
                { "cluster-1", "a" SHA },
                { "cluster-1", "" },
        };
        Wait wait = test_patience();
        Error err = {};
        StsCaller caller = {};
        char why[STS_REASON_MAX];
        FOREACH_ARRAY(other, others, ELEMENTS(others)) {
                CHECK_INT(sts_check(master.client, &node, other, &wait, &caller, why, &err), 0);
                CHECK_CONTAINS(why, "STS refuses the proof: SignatureDoesNotMatch");
        }
        StsProof later = node, key = node, token = node, signature = node;
        later.date[14] = node.date[14] == '0' ? '1' : '0';
        memcpy(key.access_key_id, own.access_key_id, sizeof(own.access_key_id));
        memcpy(token.session_token, own.session_token, sizeof(own.session_token));
        signature.signature[5] = node.signature[5] == '0' ? '1' : '0';
        const struct {
                const StsProof *proof;
                const char *code;
        } forged[] = {
                { &later, "SignatureDoesNotMatch" },
                { &key, "InvalidClientTokenId" },
                { &token, "InvalidClientTokenId" },
                { &signature, "SignatureDoesNotMatch" },
        };
        FOREACH_ARRAY(each, forged, ELEMENTS(forged)) {
                CHECK_INT(sts_check(master.client, each->proof, &claim, &wait, &caller, why, &err),
                          0);
                CHECK_CONTAINS(why, each->code);
        }
        /* without its token a key is no session's; a user's key is no instance's */
        _cleanup_actor_ Actor admin = make_actor("admin");
        _cleanup_buffer_ Buffer text = {};
        StsProof user = {};
        CHECK_OK(sts_prove(admin.client, &claim, &wait, &text, &err), err);
        CHECK_INT(sts_proof_parse(text.data, text.size, &user, &err), -EBADMSG);
}

/* While STS does not answer, nobody is refused. */
static void test_proof_without_an_answer(void)
{
        _cleanup_actor_ Actor master = make_actor("master");
        const StsProof node = proof_of("node");
        Wait wait = test_patience();
        Error err = {};
        StsCaller caller = {};
        char why[STS_REASON_MAX];
        fault("{\"action\":\"sts:GetCallerIdentity\",\"effect\":\"error\",\"status\":503,"
              "\"code\":\"ServiceUnavailable\"}");
        CHECK_INT(sts_check(master.client, &node, &claim, &wait, &caller, why, &err), -EAGAIN);
        CHECK_INT(err.class, ERROR_RETRY);
        no_faults();
        fault("{\"action\":\"sts:GetCallerIdentity\",\"effect\":\"error\",\"status\":400,"
              "\"code\":\"Throttling\"}");
        CHECK(sts_check(master.client, &node, &claim, &wait, &caller, why, &err) < 0);
        CHECK_INT(err.class, ERROR_RETRY);
        no_faults();
        CHECK_INT(sts_check(master.client, &node, &claim, &wait, &caller, why, &err), 1);
}

int main(void)
{
        Error err = {};
        const char *path = getenv("KUBE_BOOTSTRAP_TEST_REGION");
        if (!path) {
                test_skip("EC2, S3 and IMDS against the simulated region",
                          "test/integration/region/test_aws.py runs this");
                return test_done();
        }
        world = json_load_file(path, 0, NULL);
        if (!world || http_init(&err) < 0) {
                abort();
        }
        test_case("identity by IMDS", test_identity);
        test_case("a volume is attached and detached", test_volume);
        test_case("volumes: refusals", test_volume_refusals);
        test_case("an instance's state", test_instance_state);
        test_case("interfaces and their source/dest check", test_interfaces);
        test_case("the fixed private address", test_private_address);
        test_case("the Elastic IP", test_elastic_ip);
        test_case("denials name action and resource", test_denials);
        test_case("objects, with odd keys", test_objects);
        test_case("conditional writes", test_conditions);
        test_case("four writers, one winner", test_race);
        test_case("buckets: none, in another region, encrypted", test_buckets);
        test_case("a proof of identity", test_proof);
        test_case("a proof of something else", test_proof_of_something_else);
        test_case("a proof while STS does not answer", test_proof_without_an_answer);
        json_decref(world);
        http_done();
        return test_done();
}
