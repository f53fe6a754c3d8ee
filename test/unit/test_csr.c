/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/csr.h"

#include <errno.h>

#include "base/digest.h"
#include "cluster/certificate.h"
#include "csr_maker.h"
#include "harness.h"

#define NAME     "ip-172-20-144-10.ec2.internal"
#define INSTANCE "i-0123456789abcdef0"
#define CREATED  "2026-02-03T04:05:06Z"
#define WHEN     1770091506

static const Wanted kubelet = { .common_name = "system:node:" NAME,
                                .organization = "system:nodes" };

static Csr read_object(const json_t *object)
{
        Csr csr = {};
        Error err = {};
        CHECK_OK(csr_read(object, &csr, &err), err);
        return csr;
}

static Csr read_wanted(const Wanted *wanted)
{
        json_auto_t *object = csr_object("csr-x7k2p", CREATED, wanted);
        return read_object(object);
}

static void test_kubelet(void)
{
        Csr csr = read_wanted(&kubelet);
        CHECK_STR(csr.flaw, "");
        CHECK_STR(csr.name, "csr-x7k2p");
        CHECK_STR(csr.node_name, NAME);
        CHECK_STR(csr.user, "system:bootstrap:abcdef");
        CHECK(csr.of_kubelet && !csr.settled && !csr.renewal);
        CHECK_INT(csr.created, WHEN);

        Wanted utf8 = kubelet; /* both are what Go writes */
        utf8.string_type = V_ASN1_UTF8STRING;
        CHECK_STR(read_wanted(&utf8).node_name, NAME);
        utf8.string_type = V_ASN1_PRINTABLESTRING;
        CHECK_STR(read_wanted(&utf8).node_name, NAME);
}

/* What is asked for is not a Node's client certificate, whoever asks. */
static void test_flaws(void)
{
        static const struct {
                Wanted wanted;
                const char *flaw;
        } cases[] = {
                { { NULL, "system:nodes" }, "not one organization and one common name" },
                { { "system:node:" NAME, NULL }, "not one organization and one common name" },
                { { "system:node:" NAME, "system:nodes", "system:masters" }, "not one" },
                { { "system:node:" NAME, "system:masters" }, "organization is not" },
                { { "system:node:" NAME, "system:nodesx" }, "organization is not" },
                { { "kubernetes-admin", "system:nodes" }, "common name is not" },
                { { "system:node:", "system:nodes" }, "common name is not" },
                { { "system:node:*", "system:nodes" }, "common name is not" },
                { { "system:node:a?", "system:nodes" }, "common name is not" },
                { { "system:node:A", "system:nodes" }, "common name is not" },
                { { "system:node:a b", "system:nodes" }, "common name is not" },
                { { "system:node:../a", "system:nodes" }, "common name is not" },
                { { "system:node:a.", "system:nodes" }, "common name is not" },
                { { "system:node:-a", "system:nodes" }, "common name is not" },
                { { "system:node:a..b", "system:nodes" }, "common name is not" },
                { { .common_name = "system:node:a\0b",
                    .common_name_bytes = 15,
                    .organization = "system:nodes",
                    .string_type = V_ASN1_UTF8STRING },
                  "common name is not" },
                { { .common_name = "system:node:ab",
                    .organization = "system:nodes",
                    .string_type = V_ASN1_BMPSTRING },
                  "is not" },
                { { .common_name = "system:node:a",
                    .organization = "system:nodes",
                    .alternative_names = "DNS:kubernetes" },
                  "further names" },
                { { .common_name = "system:node:a",
                    .organization = "system:nodes",
                    .other_key = true },
                  "not signed with its own key" },
                { { .common_name = "system:node:a",
                    .organization = "system:nodes",
                    .behind = "-----BEGIN CERTIFICATE REQUEST-----\n" },
                  "more than a request" },
        };
        FOREACH_ARRAY(c, cases, ELEMENTS(cases)) {
                Csr csr = read_wanted(&c->wanted);
                CHECK_CONTAINS(csr.flaw, c->flaw);
                CHECK_STR(csr.node_name, "");
        }
        Wanted blank = kubelet; /* a newline is nothing */
        blank.behind = "\n";
        CHECK_STR(read_wanted(&blank).flaw, "");
}

static void test_bytes(void)
{
        static const char *const requests[] = {
                "\"\"", "\"!\"", "\"AAAA\"", "7", "\"LS0tLS1CRUdJTg==\"",
        };
        FOREACH_ARRAY(request, requests, ELEMENTS(requests)) {
                json_auto_t *object = csr_object("csr-1", CREATED, &kubelet);
                csr_set(object, "request", *request);
                CHECK_CONTAINS(read_object(object).flaw, "it holds no request");
        }
        json_auto_t *object = csr_object("csr-1", CREATED, &kubelet);
        (void) json_object_set_new(json_object_get(object, "spec"), "request",
                                   json_sprintf("%040000d", 0));
        CHECK_CONTAINS(read_object(object).flaw, "too large");
}

static void test_usages(void)
{
        static const struct {
                const char *usages;
                const char *flaw; /* NULL: fine */
        } cases[] = {
                { "[\"digital signature\",\"client auth\"]", NULL },
                { "[\"key encipherment\",\"digital signature\",\"client auth\"]", NULL },
                { "[\"client auth\"]", "usages of a client" },
                { "[\"digital signature\",\"server auth\"]", "other usages" },
                { "[\"digital signature\",\"client auth\",\"cert sign\"]", "other usages" },
                { "[\"digital signature\",\"client auth\",\"any\"]", "other usages" },
                { "[\"digital signature\",\"client auth\",7]", "other usages" },
                { "[]", "usages of a client" },
                { "null", "usages of a client" },
        };
        FOREACH_ARRAY(c, cases, ELEMENTS(cases)) {
                json_auto_t *object = csr_object("csr-1", CREATED, &kubelet);
                csr_set(object, "usages", c->usages);
                Csr csr = read_object(object);
                CHECK_CONTAINS(csr.flaw, c->flaw ? c->flaw : "");
                CHECK_INT(*csr.flaw != '\0', c->flaw != NULL);
        }
}

static void test_users(void)
{
        static const struct {
                const char *user, *groups;
                bool renewal;
                const char *flaw;
        } cases[] = {
                { "\"system:node:" NAME "\"", "[\"system:nodes\",\"system:authenticated\"]", true },
                { "\"system:bootstrap:abcdef\"",
                  "[\"system:bootstrappers\",\"" CSR_GROUP_NODE "\"]", false },
                { "\"system:node:other\"", "[\"system:nodes\"]", true, "its own" },
                { "\"system:node:" NAME "x\"", "[\"system:nodes\"]", true, "its own" },
                { "\"system:node:" NAME "\"", "[\"system:authenticated\"]", false, "neither" },
                { "\"system:bootstrap:abcdef\"", "[\"" CSR_GROUP_NODE "\"]", false, "neither" },
                { "\"system:bootstrap:abcdef\"", "[\"system:bootstrappers\"]", false, "neither" },
                { "\"system:bootstrap:abcdef\"",
                  "[\"system:bootstrappers\",\"system:bootstrappers:kubeadm\"]", false, "neither" },
                { "\"kubernetes-admin\"", "[\"system:masters\",\"" CSR_GROUP_NODE "\"]", false,
                  "neither" },
                { "7", "[]", false, "who asks is not known" },
        };
        FOREACH_ARRAY(c, cases, ELEMENTS(cases)) {
                json_auto_t *object = csr_object("csr-1", CREATED, &kubelet);
                csr_set(object, "username", c->user);
                csr_set(object, "groups", c->groups);
                Csr csr = read_object(object);
                CHECK_CONTAINS(csr.flaw, c->flaw ? c->flaw : "");
                CHECK_INT(*csr.flaw != '\0', c->flaw != NULL);
                CHECK_INT(csr.renewal, c->renewal);
        }
}

static void test_not_for_us(void)
{
        json_auto_t *object = csr_object("csr-1", CREATED, &kubelet);
        csr_set(object, "signerName", "\"kubernetes.io/kube-apiserver-client\"");
        CHECK(!read_object(object).of_kubelet);
        csr_set(object, "signerName", "\"" CSR_SIGNER_KUBELET "\"");
        CHECK(read_object(object).of_kubelet);
        json_t *metadata = json_object_get(object, "metadata");
        /* nobody else names a request so, and such a one must not hide the others */
        static const char *const names[] = { "a%2fb?", "a.b", "csr-\u00e9" };
        FOREACH_ARRAY(name, names, ELEMENTS(names)) {
                (void) json_object_set_new(metadata, "name", json_string(*name));
                CHECK(read_object(object).of_kubelet);
                CHECK_CONTAINS(read_object(object).flaw, "its name is not");
        }
        char large[1000] = "";
        memset(large, 'a', sizeof(large) - 1);
        (void) json_object_set_new(metadata, "name", json_string(large));
        CHECK_CONTAINS(read_object(object).flaw, "its name is not");
        CHECK_INT(strlen(read_object(object).name), CSR_NAME_MAX - 1);
        (void) json_object_set_new(metadata, "name", json_string("node-csr-aB3_-x"));
        CHECK(read_object(object).of_kubelet);
        json_t *status = json_object_get(object, "status");
        (void) json_object_set_new(status, "conditions", json_pack("[{s:s}]", "type", "Denied"));
        CHECK(read_object(object).settled && read_object(object).denied);
        (void) json_object_set_new(status, "conditions", json_pack("[{s:s}]", "type", "Approved"));
        CHECK(read_object(object).settled && !read_object(object).denied);
        (void) json_object_set_new(status, "conditions", json_array());
        CHECK(!read_object(object).settled);
        (void) json_object_set_new(status, "certificate", json_string("AAAA"));
        CHECK(read_object(object).settled);

        Csr csr;
        Error err = {};
        (void) json_object_set_new(metadata, "creationTimestamp", json_string("yesterday"));
        CHECK(!read_object(object).of_kubelet);
        CHECK_INT(csr_read(NULL, &csr, &err), 0);
        CHECK(!csr.of_kubelet);
}

typedef struct JudgeCase {
        const char *what;
        const char *id, *state, *role;
        bool renewal;
        int age_s;
        CsrVerdict verdict;
        const char *reason;
} JudgeCase;

static const JudgeCase judge_cases[] = {
        { "a new node", INSTANCE, "running", "node", .verdict = CSR_PROVE,
          .reason = INSTANCE " runs and is a node" },
        { "a renewal", INSTANCE, "running", "node", .renewal = true, .verdict = CSR_APPROVE,
          .reason = "runs" },
        { "the master's renewal", INSTANCE, "running", "master", .renewal = true,
          .verdict = CSR_APPROVE, .reason = "runs" },
        { "a token for the master", INSTANCE, "running", "master", .verdict = CSR_DENY,
          .reason = "is a master, which no join token stands for" },
        { "an instance of neither group", INSTANCE, "running", "", .verdict = CSR_DENY,
          .reason = "neither master nor node" },
        { "a stopped instance", INSTANCE, "stopped", "node", .verdict = CSR_DENY,
          .reason = INSTANCE " is stopped" },
        { "a terminated instance", INSTANCE, "terminated", "node", .verdict = CSR_DENY,
          .reason = "is terminated" },
        { "the renewal of a terminated instance", INSTANCE, "terminated", "node", .renewal = true,
          .verdict = CSR_DENY, .reason = "is terminated" },
        { "one that is about to run", INSTANCE, "pending", "node", .verdict = CSR_WAIT,
          .reason = "does not run yet" },
        { "one EC2 does not show yet", "", "", "", .verdict = CSR_WAIT, .reason = "knows no" },
        { "one EC2 never shows", "", "", "", .age_s = CSR_PATIENCE_S + 1, .verdict = CSR_DENY,
          .reason = "EC2 knows no instance " NAME },
};

static void test_judge(void)
{
        FOREACH_ARRAY(c, judge_cases, ELEMENTS(judge_cases)) {
                Csr csr = read_wanted(&kubelet);
                csr.renewal = c->renewal;
                const CsrFacts facts = { .now = WHEN + c->age_s,
                                         .instance_id = c->id,
                                         .instance_state = c->state,
                                         .instance_role = c->role };
                char reason[CSR_REASON_MAX] = "";
                CsrVerdict verdict = csr_judge(&csr, &facts, reason, sizeof(reason));
                if (verdict != c->verdict) {
                        test_fail(__FILE__, __LINE__, "%s: %s (%s)", c->what,
                                  csr_verdict_to_string(verdict), reason);
                }
                CHECK_CONTAINS(reason, c->reason);
        }
}

/* No fact makes good for a flaw. */
static void test_flaw_decides(void)
{
        Wanted wanted = kubelet;
        wanted.organization = "system:masters";
        Csr csr = read_wanted(&wanted);
        const CsrFacts facts = { .now = WHEN,
                                 .instance_id = INSTANCE,
                                 .instance_state = "running",
                                 .instance_role = "node" };
        char reason[CSR_REASON_MAX];
        CHECK_INT(csr_judge(&csr, &facts, reason, sizeof(reason)), CSR_DENY);
        CHECK_CONTAINS(reason, "organization");
        CHECK_STR(csr_verdict_to_string(_CSR_VERDICT_MAX), NULL);
}

/* The daemon's own request is one that it takes, once the API server has filled in who asks. */
static void test_new(void)
{
        Error err = {};
        EVP_PKEY *key = NULL;
        _cleanup_buffer_ Buffer pem = {}, proof = {};
        CHECK_INT(buffer_append_string(&proof, "{\"schema\":1}"), 0);
        CHECK_OK(certificate_key_new(&key, &err), err);
        CHECK_OK(certificate_request_to_pem(key, "system:node:" NAME, "system:nodes", &pem, &err),
                 err);
        EVP_PKEY_free(key);
        json_auto_t *object = csr_new("node-csr-0f", &pem, &proof);
        csr_set(object, "username", "\"system:bootstrap:abcdef\"");
        csr_set(object, "groups", "[\"system:bootstrappers\",\"" CSR_GROUP_NODE "\"]");
        (void) json_object_set_new(json_object_get(object, "metadata"), "creationTimestamp",
                                   json_string(CREATED));
        Csr csr = read_object(object);
        CHECK_STR(csr.flaw, "");
        CHECK_STR(csr.name, "node-csr-0f");
        CHECK_STR(csr.node_name, NAME);
        CHECK(csr.of_kubelet && !csr.settled);
        CHECK_STR(csr_proof(object), "{\"schema\":1}");
        char sha256[65];
        digest_sha256_hex(pem.data, pem.size, sha256); /* what the proof is for */
        CHECK_STR(csr.sha256, sha256);
}

/* https://kubernetes.io/docs/reference/kubernetes-api/authentication-resources/certificate-signing-request-v1/
 */
static void test_answers(void)
{
        static const struct {
                const char *status;
                int result;
                const char *text; /* of the certificate, or of the message */
        } cases[] = {
                { "{}", 0, "" },
                { "{\"conditions\":[{\"type\":\"Approved\"}]}", 0, "" },
                { "{\"conditions\":[{\"type\":\"Approved\"}],\"certificate\":\"Q0VSVA==\"}", 1,
                  "CERT" },
                { "{\"conditions\":[{\"type\":\"Denied\",\"message\":\"i-1 is stopped\"}]}",
                  -EACCES, "denied by the master: i-1 is stopped" },
                { "{\"conditions\":[{\"type\":\"Denied\"}]}", -EACCES, "no reason is given" },
                { "{\"conditions\":[{\"type\":\"Approved\"},{\"type\":\"Failed\",\"message\":\"no "
                  "CA\"}]}",
                  -EACCES, "request failed: no CA" },
                { "{\"certificate\":\"!\"}", -EBADMSG, "holds no certificate" },
                { "{\"certificate\":7}", 0, "" },
                { "7", 0, "" },
        };
        FOREACH_ARRAY(c, cases, ELEMENTS(cases)) {
                Error err = {};
                _cleanup_buffer_ Buffer pem = {};
                json_auto_t *object = json_object();
                (void) json_object_set_new(object, "status",
                                           json_loads(c->status, JSON_DECODE_ANY, NULL));
                CHECK_INT(csr_read_answer(object, &pem, &err), c->result);
                CHECK_CONTAINS(c->result < 0 ? err.message : strempty(pem.data), c->text);
                if (c->result < 0) {
                        CHECK_INT(err.class, ERROR_RETRY);
                }
        }
}

int main(void)
{
        test_case("csr: kubelet's own request", test_kubelet);
        test_case("csr: the daemon's own request", test_new);
        test_case("csr: answers", test_answers);
        test_case("csr: requests for something else", test_flaws);
        test_case("csr: bytes that are no request", test_bytes);
        test_case("csr: usages", test_usages);
        test_case("csr: who asks", test_users);
        test_case("csr: not ours to judge", test_not_for_us);
        test_case("csr: who is let in", test_judge);
        test_case("csr: a flaw decides", test_flaw_decides);
        return test_done();
}
